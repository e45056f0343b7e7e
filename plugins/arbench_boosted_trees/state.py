"""What boosted trees keep while one batch is drawn: its values so far, which the trees ask for."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class BoostedTreesState(NamedTuple):
    """What `BoostedTrees.step` updates in place.

    Attributes:
        num_trees: of each site, of each member.
        firsts: the first tree of each site.
        values: `(T, B)` int64, of the sites so far.
    """

    num_trees: list[list[int]]
    firsts: list[int]
    values: Tensor
