"""Piano rolls: time from left to right, keys from low to high, a bar for each note."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from arbench.data.formats.piano_keys import LOWEST_NOTE, Steps, held_notes

_ROW = 4  # pixels for a key
_WIDTH, _WIDEST_STEP = 1200, 12  # pixels; a step is one at least, so a long piece is wider
_GAP = 12
_PAPER, _BLACK_KEY, _LINE, _BEAT = (255,) * 3, (240,) * 3, (190,) * 3, (222,) * 3
_NOTE, _ONSET, _GIVEN = (0, 114, 178), (0, 58, 96), (230, 120, 0)
_BLACK_KEYS = {1, 3, 6, 8, 10}  # of an octave that begins with C


def draw_piano_rolls(
    pieces: Sequence[Steps], *, steps_per_beat: int, num_given: int = 0
) -> Image.Image:
    """The pieces below one another, in the octaves that any of them uses.

    A note is a bar, dark in its first step. Rows of black keys are grey, a line lies below every C,
    and one before every beat.

    Args:
        pieces: `(steps, 88)` boolean each, of any lengths; one at least.
        steps_per_beat: where the lines of beats are.
        num_given: steps at the beginning that were given; their notes are orange.

    Raises:
        ValueError: for something that is no piece.
    """
    notes = [held_notes(piece) for piece in pieces]
    keys = [note.key for piece in notes for note in piece] or [39]  # middle C
    # Whole octaves, from a C to a B.
    low = (min(keys) + LOWEST_NOTE) // 12 * 12 - LOWEST_NOTE
    high = (max(keys) + LOWEST_NOTE) // 12 * 12 + 12 - LOWEST_NOTE
    longest = max(len(piece) for piece in pieces)
    step = max(1, min(_WIDEST_STEP, _WIDTH // max(1, longest)))
    rolls = []
    for piece, held in zip(pieces, notes, strict=True):
        roll = _empty(len(piece), low, high, step, steps_per_beat)
        for start, end, key in held:
            # A pixel of paper stays between neighbouring keys.
            rows = slice((high - 1 - key) * _ROW, (high - key) * _ROW - 1)
            roll[rows, start * step : end * step] = _NOTE
            roll[rows, start * step : start * step + step] = _ONSET
            roll[rows, start * step : min(end, max(start, num_given)) * step] = _GIVEN
        rolls.append(roll)
    size = (len(rolls) * (len(rolls[0]) + _GAP) + _GAP, longest * step + 2 * _GAP, 3)
    canvas = np.full(size, 255, dtype=np.uint8)
    for index, roll in enumerate(rolls):
        top = _GAP + index * (len(roll) + _GAP)
        canvas[top : top + len(roll), _GAP : _GAP + roll.shape[1]] = roll
    return Image.fromarray(canvas)


def _empty(
    num_steps: int, low: int, high: int, step: int, steps_per_beat: int
) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """A roll without notes, `(rows, columns, 3)`."""
    roll = np.full(((high - low) * _ROW, num_steps * step, 3), _PAPER, dtype=np.uint8)
    for key in range(low, high):
        pitch = (key + LOWEST_NOTE) % 12
        bottom = (high - key) * _ROW
        if pitch in _BLACK_KEYS:
            roll[bottom - _ROW : bottom] = _BLACK_KEY
        if pitch == 0:
            roll[bottom - 1] = _LINE
    if steps_per_beat * step >= 3 * _ROW // 2:  # closer lines would be a grey area
        roll[:, :: steps_per_beat * step] = _BEAT
    return roll
