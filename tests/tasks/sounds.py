"""Sounds to make recordings of, and what of a split is sound."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from arbench.data.tasks import Split


def wav(samples: np.ndarray, rate: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def tone(length: int, seed: int) -> np.ndarray:
    """Noise in 16 bits, so that equal clips are equal files."""
    return np.random.default_rng(seed).integers(-9000, 9000, length).astype(np.int16)


def scored_values(split: Split) -> np.ndarray:
    assert split.scored is not None
    return split.events[split.scored].numpy()
