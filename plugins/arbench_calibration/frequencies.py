"""The baseline: how often each value occurs at each place, whatever came before.

It is calibrated but for the noise of its counts, and knows nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arbench import Discrete, EventSpec, Split
from arbench_calibration.bins import BinSums, calibration_error
from arbench_calibration.symbols import each_symbol


class Frequencies:
    """Says of every dim how often its values occurred in a split, one more time each.

    Args:
        spec: of the events.
        split: the events that are counted.
        pooled: whether all places are one, as in the windows of a stream.

    Attributes:
        spec: as given.
        log_probs: `(D, K)` nats, float64.
    """

    def __init__(self, spec: EventSpec, split: Split, *, pooled: bool) -> None:
        assert isinstance(spec.domain, Discrete)
        self.spec = spec
        counts = torch.ones(spec.num_dims, spec.domain.size, dtype=torch.float64)
        values = split.events.long().flatten(1)
        weights = torch.ones_like(values) if split.scored is None else split.scored.flatten(1)
        places = torch.arange(spec.num_dims).expand_as(values)
        counts.index_put_((places, values), weights.double(), accumulate=True)
        if pooled:
            counts = (1 + (counts - 1).sum(0)).expand_as(counts)
        self.log_probs = (counts / counts.sum(-1, keepdim=True)).log()

    def conditionals(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """See `Conditionals`."""
        return self.log_probs.view(*events.shape[1:], -1).expand(*events.shape, -1)

    def calibration_error(self, split: Split, edges: Tensor) -> float:
        """Over all scored dims of a split, in bins with these upper edges."""
        bins = BinSums(1, edges)
        for some in each_symbol(self, split):
            bins.add(torch.zeros_like(some.events), *some.predicted())
        return calibration_error(bins.gaps, bins.counts.sum(1)).item()
