"""Rows of pictures and positions in texts, for which calibration is shown by itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from arbench import EventSpec

_MOST = 64


@dataclass(frozen=True)
class Places:
    """Parts of an event.

    Attributes:
        of_dim: the part of each dim, in memory order, `(D,)` int64.
        count: how many parts there are.
        firsts: the number of what each part begins with, such as its row, `(count,)` int64.
        name: what is counted: "row" or "position".
    """

    of_dim: Tensor
    count: int
    firsts: Tensor
    name: str

    @classmethod
    def of(cls, spec: EventSpec) -> Places:
        """The rows of images, the positions of anything else; a few in one where there are many."""
        numbers, name = torch.arange(spec.num_dims), "position"
        if len(spec.shape) == 3:
            numbers, name = numbers.view(spec.shape)[:1] // spec.shape[2], "row"
            numbers = numbers.expand(spec.shape).flatten()
        size = int(numbers.max()) + 1
        count = min(size, _MOST)
        parts = torch.arange(size) * count // size
        firsts = torch.searchsorted(parts, torch.arange(count))
        return cls(parts[numbers], count, firsts, name)
