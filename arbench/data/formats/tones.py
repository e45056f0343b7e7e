"""Makes sound of a piece: every note is a few sines that fade, like a struck string."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arbench.data.formats.piano_keys import LOWEST_NOTE, Steps, held_notes

TONE_RATE = 22050  # samples per second
_NUM_PARTIALS = 4
_LOUDNESS = 0.25  # of a note; chords are rounded off smoothly
_ATTACK_S, _RELEASE_S, _DECAY_S = 0.005, 0.06, 0.8
_CONCERT_A, _CONCERT_NOTE = 440.0, 69  # Hz, in equal temperament


def tones(piece: Steps, *, step_s: float) -> NDArray[np.float64]:
    """The sound of a piece, `(N,)` float64 in (-1, 1), with `TONE_RATE` samples per second.

    Each note has partials k = 1 to 4 of amplitude 1/k² below half the sample rate, and dies away
    exponentially. The sound ends with the last step's release.

    Args:
        piece: `(steps, 88)` boolean.
        step_s: how long a step is, in seconds.

    Raises:
        ValueError: for something that is no piece.
    """
    edges = np.rint(np.arange(len(piece) + 1) * step_s * TONE_RATE).astype(np.int64)
    release = round(_RELEASE_S * TONE_RATE)
    sound = np.zeros(int(edges[-1]) + release)
    for note in held_notes(piece):
        first, last = int(edges[note.start]), int(edges[note.end])
        sound[first : last + release] += _note(note.key, last - first, release)
    return np.tanh(_LOUDNESS * sound)


def _note(key: int, held: int, release: int) -> NDArray[np.float64]:
    """One note that is held for some samples and then let go."""
    seconds = np.arange(held + release) / TONE_RATE
    frequency = _CONCERT_A * 2 ** ((LOWEST_NOTE + key - _CONCERT_NOTE) / 12)
    audible = [k for k in range(1, _NUM_PARTIALS + 1) if k * frequency < TONE_RATE / 2]
    wave = sum(np.sin(2 * np.pi * k * frequency * seconds) / k**2 for k in audible)
    envelope = np.exp(-seconds / _DECAY_S) * np.minimum(seconds / _ATTACK_S, 1)
    envelope[held:] *= 1 - np.arange(release) / release
    return np.asarray(wave * envelope)
