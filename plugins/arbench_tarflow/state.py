"""What a block of TarFlow keeps while it is inverted: keys and values of the patches so far."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TarFlowState(NamedTuple):
    """A key-value cache for each layer of one block, allocated once and filled patch by patch.

    Attributes:
        keys: per layer, `(B, heads, T - 1, head_dim)`: nothing reads the last patch.
        values: likewise.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
