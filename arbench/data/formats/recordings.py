"""Reads wav and flac files, and cuts recordings into windows."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from arbench.data.formats import mu_law
from arbench.data.formats.waves import MU_LAW, is_wave, read_wave
from arbench.data.tasks import Split
from arbench.errors import DataError

# What else is found under such names, by its first bytes.
_OTHERS = {
    b"FORM": "AIFF",
    b".snd": "AU",
    b"OggS": "Ogg",
    b"ID3": "an ID3 tag",
    b"RF64": "RF64",
    b"RIFX": "RIFX",
    b"riff": "W64",
    b"caff": "CAF",
}
_STREAMINFO = slice(8, 42)  # the first block of a flac file


@dataclass(frozen=True)
class Recording:
    """One channel of sound.

    Attributes:
        amplitudes: `(N,)` float64 in [-1, 1]; an integer sample of b bits is divided by 2^(b-1).
        sample_rate: samples per second.
        container: the kind of file.
        codes: `(N,)` uint8, the codes of ITU-T G.711 where the file holds mu-law; else None.
    """

    amplitudes: NDArray[np.float64]
    sample_rate: int
    container: Literal["wav", "flac"]
    codes: NDArray[np.uint8] | None = None


def read_recording(content: bytes, place: str) -> Recording:
    """The recording in the bytes of a wav or flac file.

    Args:
        content: of the file.
        place: what an error message calls it.

    Raises:
        DataError: if it is no such file, not whole, has several channels, no sample, or a sample
            that is not in [-1, 1]; nothing is mixed, clipped or resampled.
    """
    import soundfile  # only audio tasks need it

    wave = read_wave(content, place) if is_wave(content) else None
    if wave is None and content[:4] != b"fLaC":
        found = next((kind for magic, kind in _OTHERS.items() if content.startswith(magic)), None)
        raise DataError(f"{place}: expected a wav or flac file, found {found or 'something else'}")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            num_frames, sample_rate = file.frames, file.samplerate
            samples = file.read(dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, OSError, ValueError, MemoryError, RuntimeError) as error:
        raise DataError(f"{place}: expected a wav or flac file, soundfile says: {error}") from error
    if samples.shape[1] != 1:
        raise DataError(
            f"{place}: found {samples.shape[1]} channels, expected one; mix it down yourself"
        )
    if len(samples) == 0:
        raise DataError(f"{place}: found no samples")
    amplitudes = samples[:, 0]
    expected = num_frames if wave is None else wave.num_frames
    if len(amplitudes) != expected or (wave is None and not _is_signed(content, amplitudes)):
        raise DataError(
            f"{place}: found {len(amplitudes):,} samples that are not the {expected:,} its header "
            "speaks of; the file is damaged or was cut short"
        )
    if not (np.abs(amplitudes) <= 1).all():  # a comparison that NaN fails too
        index = int(np.argmin(np.abs(amplitudes) <= 1))
        raise DataError(
            f"{place}: sample {index} is {amplitudes[index]:g}, expected -1 to 1; "
            "nothing is clipped here"
        )
    if wave is None:
        return Recording(amplitudes, int(sample_rate), "flac")
    codes = np.frombuffer(wave.data, np.uint8) if wave.coding == MU_LAW else None
    return Recording(amplitudes, int(sample_rate), "wav", codes)


def _is_signed(content: bytes, amplitudes: NDArray[np.float64]) -> bool:
    """Whether a flac file's samples have the MD5 that it states; a few state none.

    Source: RFC 9639, section 8.2: of the samples in as many whole bytes as they need, little-endian
    and signed.
    """
    about = content[_STREAMINFO]
    stated = about[18:34]
    bits = 1 + (int.from_bytes(about[12:14], "big") >> 4 & 0x1F)
    whole = np.rint(amplitudes * 2.0 ** (bits - 1)).astype("<i4")
    num_bytes = -(-bits // 8)
    found = hashlib.md5(whole.view(np.uint8).reshape(-1, 4)[:, :num_bytes].tobytes())
    return stated in (bytes(16), found.digest())


def recording_windows(recordings: Sequence[NDArray[np.uint8]], length: int) -> Split:
    """Consecutive windows over each recording; the last one is padded and its padding not scored.

    Every sample is scored exactly once, and sees the samples before it in its own window.

    Args:
        recordings: `(N,)` mu-law levels each, N at least 1.
        length: samples per window.

    Returns:
        `(M, length)` uint8, window after window, recording after recording; the windows of one
        recording are one group.
    """
    num_windows = [-(-len(levels) // length) for levels in recordings]
    events = np.full((sum(num_windows), length), mu_law.SILENCE, dtype=np.uint8)
    scored = np.zeros(events.shape, dtype=np.bool_)
    first = 0
    for levels, count in zip(recordings, num_windows, strict=True):
        rows = slice(first, first + count)
        # Rows of one recording lie end to end, so they are written as one.
        events[rows].reshape(-1)[: len(levels)] = levels
        scored[rows].reshape(-1)[: len(levels)] = True
        first += count
    groups = torch.arange(len(recordings)).repeat_interleave(torch.tensor(num_windows))
    return Split(torch.from_numpy(events), torch.from_numpy(scored), groups)
