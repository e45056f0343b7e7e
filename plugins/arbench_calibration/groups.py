"""Standard errors of several numbers at once, over groups of events."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from arbench import Split, error_of_resampled, group_weights

NUM_RESAMPLES = 1000


class Groups:
    """Which events are not independent.

    Args:
        split: of the events: their groups if the task states some, a few windows of a stream in a
            row, or each event by itself.

    Attributes:
        members: the group of each event, counted from 0, `(N,)` int64.
        count: how many there are.
    """

    def __init__(self, split: Split) -> None:
        numbers = torch.arange(len(split)) if split.dependent is None else split.dependent
        self.members = torch.unique(numbers, return_inverse=True)[1]
        self.count = int(self.members.max()) + 1

    @property
    def stated(self) -> Tensor | None:
        """The members, as `Measured.groups` has them: None where all events are independent."""
        return None if self.count == len(self.members) else self.members

    def sums(self, values: Tensor) -> Tensor:
        """Of what events have, `(N, ...)`: what groups have, `(G, ...)`."""
        empty = torch.zeros(self.count, *values.shape[1:], dtype=torch.float64)
        return empty.index_add_(0, self.members, values.double())

    def resampled(self, values: Tensor) -> Tensor:
        """Sums over all events `(N, ...)` under random weights of the groups, `(R, ...)`."""
        sums = self.sums(values)
        return (self._weights @ sums.view(self.count, -1)).view(-1, *sums.shape[1:])

    def error(self, numbers: Tensor) -> float | None:
        """The standard error of a number, from what it is under the weights, `(R,)`."""
        return error_of_resampled(numbers, self.count)

    @functools.cached_property
    def _weights(self) -> Tensor:
        return torch.stack([*group_weights(self.count, NUM_RESAMPLES)])
