"""What a tree keeps while one batch is drawn: what the sites so far say about later ones."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ChowLiuState(NamedTuple):
    """What `ChowLiuTree.step` updates in place.

    Attributes:
        parents: of each site, the root's is itself.
        values: `(B, T)` int64, of the sites so far.
        evidence: `(B, T, K)`, log-likelihood of the known sites below each unknown one, given its
            value, up to a constant: the sum of its children's messages.
        messages: `(B, T, K)`, the same of what is at or below each site, given its parent's value.
    """

    parents: tuple[int, ...]
    values: Tensor
    evidence: Tensor
    messages: Tensor
