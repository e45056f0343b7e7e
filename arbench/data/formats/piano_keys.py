"""What a piece of music is: which of a piano's 88 keys sound in every step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arbench.data.units import NUM_KEYS as NUM_KEYS

LOWEST_NOTE = 21  # the MIDI note of key 0, the A below three octaves below middle C

Steps = NDArray[np.bool_]
"""`(steps, 88)`: whether a key sounds in a step. Held and repeated notes are not told apart."""


class HeldNote(NamedTuple):
    """A key that sounds in all of some steps that follow one another, and not around them.

    Attributes:
        start: the first of its steps.
        end: the first step after it.
        key: from 0 to 87.
    """

    start: int
    end: int
    key: int


def held_notes(piece: Steps) -> list[HeldNote]:
    """The notes of a piece in the order of their first steps, and from low to high in each.

    Args:
        piece: `(steps, 88)` boolean.

    Raises:
        ValueError: if it has another shape or another dtype.
    """
    if piece.ndim != 2 or piece.shape[1] != NUM_KEYS or piece.dtype != np.bool_:
        raise ValueError(
            f"a piece is boolean of shape (steps, {NUM_KEYS}), got {piece.dtype} {piece.shape}"
        )
    silent = np.zeros((1, NUM_KEYS), dtype=np.int8)
    changes = np.diff(piece.astype(np.int8), axis=0, prepend=silent, append=silent)
    # Both in the order of keys, then steps: the i-th start and the i-th end are of one note.
    keys, starts = np.nonzero(changes.T == 1)
    _, ends = np.nonzero(changes.T == -1)
    notes = zip(starts.tolist(), ends.tolist(), keys.tolist(), strict=True)
    return sorted((HeldNote(*note) for note in notes), key=lambda note: (note.start, note.key))
