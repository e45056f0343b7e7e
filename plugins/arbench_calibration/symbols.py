"""Every scored dim of a split, with the distribution that the model gave it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from arbench import Discrete, EventSpec, Split

Progress = Callable[[float, str], object]

_MOST_EVENTS = 200
_MOST_NUMBERS = 1 << 21  # of one batch; a mixture of logistics takes a hundred times as many


class Predictor(Protocol):
    """What is asked here: a density that offers `conditionals`."""

    spec: EventSpec

    def conditionals(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """See `Conditionals`."""
        ...


@dataclass(frozen=True)
class Symbols:
    """Some scored dims.

    Attributes:
        log_probs: of all values, `(n, K)` nats, float64.
        values: that the dims have, `(n,)` int64.
        events: the number of each dim's event in the split, `(n,)` int64.
        places: the number of each dim in its event, in memory order, `(n,)` int64.
    """

    log_probs: Tensor
    values: Tensor
    events: Tensor
    places: Tensor

    @property
    def is_binary(self) -> bool:
        """Whether there are two values."""
        return self.log_probs.shape[-1] == 2

    def predicted(self) -> tuple[Tensor, Tensor]:
        """A probability for each dim, and whether that happened, `(n,)` float64 both.

        Of two values that of 1; of more, the probability of the most likely value.
        """
        if self.is_binary:
            return self.log_probs[:, 1].exp(), self.values.double()
        likeliest = self.log_probs.max(-1)
        return likeliest.values.exp(), (likeliest.indices == self.values).double()


def each_symbol(
    density: Predictor, split: Split, progress: Progress | None = None
) -> Iterator[Symbols]:
    """All scored dims, batch by batch, in the order of the events.

    Args:
        density: tells how likely every value is.
        split: the events.
        progress: told the fraction of events done.
    """
    domain = density.spec.domain
    assert isinstance(domain, Discrete)
    at_once = _MOST_NUMBERS // (density.spec.num_dims * domain.size)
    batch_size = max(1, min(_MOST_EVENTS, at_once))
    for start in range(0, len(split), batch_size):
        events = split.events[start : start + batch_size]
        scored = None if split.scored is None else split.scored[start : start + batch_size]
        found = density.conditionals(events, scored).cpu().double().flatten(1, -2)
        values = events.long().flatten(1)
        counted = torch.ones_like(values, dtype=torch.bool)
        if scored is not None:
            counted = scored.flatten(1)
        number, place = counted.nonzero(as_tuple=True)
        yield Symbols(found[counted], values[counted], number + start, place)
        if progress is not None:
            progress((start + len(events)) / len(split), "")
