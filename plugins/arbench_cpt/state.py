"""What tables keep while one batch is drawn: its values so far, which select the rows to read."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TablesState(NamedTuple):
    """What `Tables.step` updates in place.

    Attributes:
        values: `(B, T + 1)` int64, of the sites so far; the last column stays 0, the absent
            neighbour.
    """

    values: Tensor
