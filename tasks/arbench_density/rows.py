"""Reads the rows of a file of the density benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arbench import DataError

_ZERO, _COMMA, _NEWLINE = b"0,\n"


def read_rows(path: Path, num_dims: int) -> NDArray[np.uint8]:
    """The rows `(N, D)` of a file, each a line of digits 0 or 1 with commas between them.

    Raises:
        DataError: with the first row that is something else.
    """
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if len(data) % (2 * num_dims):
        raise DataError(
            f"{path}: found {len(data):,} bytes, expected lines of {2 * num_dims:,}: {num_dims:,} "
            "digits, each with a comma or the end of the line after it"
        )
    pairs = data.reshape(-1, num_dims, 2)
    events, ends = pairs[..., 0] - _ZERO, pairs[..., 1]  # what is less than 0 wraps around
    wrong = (events > 1) | (ends != ([_COMMA] * (num_dims - 1) + [_NEWLINE]))
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            f"{path}: row {row}, column {column}: found {pairs[row, column].tobytes()!r}, expected "
            f"0 or 1 and then {'the end of the line' if column == num_dims - 1 else 'a comma'}"
        )
    return events
