"""Recordings: what is read, what is refused, and windows that score every sample once."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from arbench.errors import DataError
from arbench.experiment.mu_law import SILENCE
from arbench.experiment.recordings import read_recording, windows

PCM = np.array([0, 1, -1, 12_345, -32_768, 32_767], dtype=np.int16)


def _file(samples: np.ndarray, rate: int = 8000, **options: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, **{"format": "WAV", **options})
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_16_bit_samples_are_read_exactly(kind: str) -> None:
    recording = read_recording(_file(PCM, 22_050, format=kind, subtype="PCM_16"), "x")
    np.testing.assert_array_equal(recording.amplitudes, PCM / 2**15)
    assert recording.sample_rate == 22_050


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF", "expected a wav or flac file"),
        (b"", "expected a wav or flac file"),
        (_file(np.zeros((9, 2))), "found 2 channels, expected one"),
        (_file(np.zeros(0)), "found no samples"),
        (_file(np.array([0, 1.5]), subtype="FLOAT"), "sample 1 is 1.5, expected -1 to 1"),
        (_file(np.array([np.nan, 0]), subtype="FLOAT"), "sample 0 is nan"),
    ],
    ids=["cut", "empty", "stereo", "silent", "loud", "nan"],
)
def test_what_is_no_mono_recording_is_refused_in_a_sentence(content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_recording(content, "some/file.wav")
    assert str(caught.value).startswith("some/file.wav: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.lists(st.integers(1, 23), min_size=1, max_size=6), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_windows_score_every_sample_once_and_in_order(lengths: list[int], length: int) -> None:
    recordings = [
        np.random.default_rng(i).integers(0, 256, n, dtype=np.uint8) for i, n in enumerate(lengths)
    ]
    split = windows(recordings, length)
    assert split.scored is not None
    events, scored = split.events.numpy(), split.scored.numpy()
    assert len(events) == sum(-(-n // length) for n in lengths)
    np.testing.assert_array_equal(events[scored], np.concatenate(recordings))
    assert (events[~scored] == SILENCE).all()
    assert (scored[:, :-1] >= scored[:, 1:]).all()  # padding comes last
    assert scored[:, 0].all()
