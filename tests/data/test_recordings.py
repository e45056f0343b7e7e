"""Recordings: what is read, what is refused, and windows that score every sample once."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from arbench.data.formats.mu_law import SILENCE, decode_codes, encode, from_codes
from arbench.data.formats.recordings import read_recording, recording_windows
from arbench.errors import DataError

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


def _wav(data: bytes, coding: int = 1, bits: int = 16, size: int | None = None) -> bytes:
    """A wav file as no library here would write it."""
    size = len(data) if size is None else size
    about = struct.pack("<HHIIHH", coding, 1, 8000, 1000 * bits, bits // 8, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + about + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


WHOLE = _wav(PCM.tobytes())
LIST = b"LIST" + struct.pack("<I", 4) + b"INFO"
NOISE = np.random.default_rng(0).integers(-9000, 9000, 3000).astype(np.int16)


@pytest.mark.parametrize(
    ("bits", "subtype"), [(8, "PCM_U8"), (24, "PCM_24"), (32, "PCM_32"), (8, "PCM_S8")]
)
def test_other_depths_are_read_exactly(bits: int, subtype: str) -> None:
    whole = np.random.default_rng(1).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 50)
    kind = "FLAC" if subtype == "PCM_S8" else "WAV"
    # The library takes 32 bits and keeps the upper ones.
    content = _file((whole << (32 - bits)).astype(np.int32), format=kind, subtype=subtype)
    found = read_recording(content, "x").amplitudes
    np.testing.assert_array_equal(found, whole / 2 ** (bits - 1))


@pytest.mark.parametrize("content", [WHOLE, WHOLE + LIST, WHOLE + b"\xffjunk", WHOLE + b"L"])
def test_what_follows_the_sound_is_no_part_of_it(content: bytes) -> None:
    np.testing.assert_array_equal(read_recording(content, "x").amplitudes, PCM / 2**15)


def test_every_wav_cut_short_is_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(DataError, match=r"^x: .*(cut short|expected a wav|without sound)"):
            read_recording(WHOLE[:length], "x")


def test_every_flac_cut_short_is_refused() -> None:
    content = _file(NOISE, format="FLAC", subtype="PCM_16")
    for length in [*range(0, len(content), 97), len(content) - 1]:
        with pytest.raises(DataError, match=r"^x: "):
            read_recording(content[:length], "x")


@pytest.mark.parametrize("place", range(42, 3000, 111))
def test_a_damaged_flac_is_read_whole_or_refused(place: int) -> None:
    content = bytearray(_file(NOISE, format="FLAC", subtype="PCM_16"))
    content[place] ^= 4
    try:
        found = read_recording(bytes(content), "x").amplitudes
    except DataError:
        return
    np.testing.assert_array_equal(found, NOISE / 2**15)


def test_samples_of_a_flac_file_have_the_hash_that_it_states() -> None:
    content = bytearray(_file(NOISE, format="FLAC", subtype="PCM_16"))
    content[30] ^= 1  # in the hash itself; all frames are whole
    with pytest.raises(DataError, match="the file is damaged or was cut short"):
        read_recording(bytes(content), "x")
    content[26:42] = bytes(16)  # some writers state none
    np.testing.assert_array_equal(read_recording(bytes(content), "x").amplitudes, NOISE / 2**15)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_wav(PCM.tobytes(), size=0xFFFFFFFF), "found 12 bytes of sound, expected 4,294,967,295"),
        (_wav(PCM.tobytes(), size=100), "found 12 bytes of sound, expected 100"),
        (_wav(PCM.tobytes()[:-1]), "ends within a sample"),
        (_wav(PCM.tobytes(), size=4), "where a wav file has the name of a chunk"),
        (_wav(b"ab", coding=0x11, bits=4), "coding 0x11 with 4 bits"),
        (_wav(b"abcd", coding=1, bits=12), "coding 0x1 with 12 bits"),
        (_file(NOISE, subtype="IMA_ADPCM"), "coding 0x11 with 4 bits"),
        (_file(NOISE, subtype="GSM610"), "coding 0x31"),
        (WHOLE[:4] + struct.pack("<I", 99) + WHOLE[8:] + WHOLE[36:], "two pieces of sound"),
        (_file(NOISE, format="AIFF"), "expected a wav or flac file, found AIFF"),
        (_file(NOISE, format="AU"), "expected a wav or flac file, found AU"),
        (_file(NOISE, format="CAF"), "expected a wav or flac file, found CAF"),
        (_file(NOISE, format="W64"), "expected a wav or flac file, found W64"),
        (_file(NOISE, format="RF64"), "expected a wav or flac file, found RF64"),
        (_file(NOISE, format="OGG", subtype="VORBIS"), "expected a wav or flac file, found Ogg"),
    ],
)
def test_another_container_or_coding_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_recording(content, "some/file.wav")
    assert str(caught.value).startswith("some/file.wav: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_telephone_codes_come_through_as_they_are(kind: str) -> None:
    codes = np.arange(256, dtype=np.uint8)
    content = bytearray(_file(np.zeros(256), format=kind, subtype="ULAW"))
    start = content.index(b"data") + 8
    content[start : start + 256] = codes.tobytes()
    recording = read_recording(bytes(content), "x")
    assert recording.codes is not None
    np.testing.assert_array_equal(recording.codes, codes)
    levels = from_codes(recording.codes)
    assert sorted(levels) == list(range(256))
    # The library's own decoder agrees with the table of the recommendation.
    np.testing.assert_array_equal(decode_codes(levels), recording.amplitudes)
    assert len(set(encode(recording.amplitudes))) == 239  # why amplitudes will not do
    assert read_recording(WHOLE, "x").codes is None


@given(st.lists(st.integers(1, 23), min_size=1, max_size=6), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_windows_score_every_sample_once_and_in_order(lengths: list[int], length: int) -> None:
    recordings = [
        np.random.default_rng(i).integers(0, 256, n, dtype=np.uint8) for i, n in enumerate(lengths)
    ]
    split = recording_windows(recordings, length)
    assert split.scored is not None
    events, scored = split.events.numpy(), split.scored.numpy()
    assert len(events) == sum(-(-n // length) for n in lengths)
    np.testing.assert_array_equal(events[scored], np.concatenate(recordings))
    assert (events[~scored] == SILENCE).all()
    assert (scored[:, :-1] >= scored[:, 1:]).all()  # padding comes last
    assert scored[:, 0].all()
