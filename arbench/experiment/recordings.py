"""Recordings: wav and flac files read by soundfile, and windows of fixed length over them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from arbench.errors import DataError
from arbench.experiment import mu_law
from arbench.experiment.tasks import Split


@dataclass(frozen=True)
class Recording:
    """One channel of sound.

    Attributes:
        amplitudes: `(N,)` float64 in [-1, 1]; an integer sample of b bits is divided by 2^(b-1).
        sample_rate: samples per second.
    """

    amplitudes: NDArray[np.float64]
    sample_rate: int


def read_recording(content: bytes, place: str) -> Recording:
    """The recording in the bytes of a wav or flac file.

    Args:
        content: of the file.
        place: what an error message calls it.

    Raises:
        DataError: if it is no such file, has several channels, no sample, or a sample that is not
            in [-1, 1]; nothing is mixed, clipped or resampled.
    """
    import soundfile  # only audio tasks need it

    try:
        samples, sample_rate = soundfile.read(io.BytesIO(content), dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, OSError, ValueError, MemoryError) as error:
        raise DataError(f"{place}: expected a wav or flac file, soundfile says: {error}") from error
    if samples.shape[1] != 1:
        raise DataError(
            f"{place}: found {samples.shape[1]} channels, expected one; mix it down yourself"
        )
    if len(samples) == 0:
        raise DataError(f"{place}: found no samples")
    amplitudes = samples[:, 0]
    if not (np.abs(amplitudes) <= 1).all():  # a comparison that NaN fails too
        index = int(np.argmin(np.abs(amplitudes) <= 1))
        raise DataError(
            f"{place}: sample {index} is {amplitudes[index]:g}, expected -1 to 1; "
            "nothing is clipped here"
        )
    return Recording(amplitudes, int(sample_rate))


def windows(recordings: Sequence[NDArray[np.uint8]], length: int) -> Split:
    """Consecutive windows over each recording; the last one is padded and its padding not scored.

    Every sample is scored exactly once, and sees the samples before it in its own window.

    Args:
        recordings: `(N,)` mu-law levels each, N at least 1.
        length: samples per window.

    Returns:
        `(M, length)` uint8, window after window, recording after recording.
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
    return Split(torch.from_numpy(events), torch.from_numpy(scored))
