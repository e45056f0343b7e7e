"""The tiny events of every kind that checks use."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec, Mixed, Real
from arbench.probability.layouts import Layout
from arbench.probability.promises import other_values
from arbench.testing.toys import TINY_SPECS, all_events

_MAX_LISTED = 1 << 16


@dataclass(frozen=True)
class TinyEvents:
    """The events that a check is about.

    Attributes:
        spec: shape and domain; few events if it is discrete.
        sites: what one sampling step draws, as in `Layout`.
        end: the symbol that ends a sequence, when lengths vary: what comes after the first one is
            padding, and is not scored.
    """

    spec: EventSpec
    sites: Literal["dim", "pixel"] = "dim"
    end: int | None = None

    def layout(self, order_seed: int | None = None) -> Layout:
        """The sites of these events in a random order, or in the raster scan."""
        if order_seed is None:
            return Layout(self.spec, sites=self.sites)
        return Layout.permuted(self.spec, order_seed, sites=self.sites)

    @property
    def is_real(self) -> bool:
        """Whether there are real dims, so that events have a density and no list."""
        return any(isinstance(domain, Real) for domain in self.spec.dim_domains)

    def listed(self) -> Tensor:
        """Every event of a discrete spec, `(N, *shape)` int64; padding holds the end symbol."""
        events = all_events(self.spec)
        if self.end is None:
            return events
        return events[(self.ended(events) == events).all(1)]

    def scored(self, events: Tensor) -> Tensor | None:
        """Which dims count, `(B, *shape)` boolean: those up to the first end; None for all."""
        if self.end is None:
            return None
        is_end = events == self.end
        return is_end.cumsum(1) - is_end.long() == 0

    def ended(self, events: Tensor) -> Tensor:
        """The events with their padding replaced by the end symbol."""
        scored = self.scored(events)
        return events if scored is None else events.masked_fill(~scored, self.end or 0)

    def random(self, num_events: int, seed: int) -> Tensor:
        """Uniformly random events `(num_events, *shape)`; real dims are standard normal."""
        generator = torch.Generator().manual_seed(seed)
        if isinstance(self.spec.domain, Mixed):
            columns = [
                torch.randn(num_events, generator=generator, dtype=torch.float64)
                if isinstance(domain, Real)
                else torch.randint(domain.size, (num_events,), generator=generator).double()
                for domain in self.spec.domain.dims
            ]
            return torch.stack(columns, 1)
        if self.is_real:
            shape = (num_events, *self.spec.shape)
            return torch.randn(shape, generator=generator, dtype=torch.float64)
        assert isinstance(self.spec.domain, Discrete)
        if self.end is None and self.spec.domain.size**self.spec.num_dims > _MAX_LISTED:
            shape = (num_events, *self.spec.shape)
            return torch.randint(self.spec.domain.size, shape, generator=generator)
        events = self.listed()
        return events[torch.randint(len(events), (num_events,), generator=generator)]

    def roomier(self) -> TinyEvents:
        """Events of the same kind; images have three rows and columns, too many to be listed."""
        if len(self.spec.shape) == 1:
            return self
        channels, height, width = self.spec.shape
        spec = EventSpec((channels, max(height, 3), max(width, 3)), self.spec.domain)
        return dataclasses.replace(self, spec=spec)

    @property
    def values(self) -> tuple[float, ...]:
        """All that a discrete dim may be, or some that a real one may be; dims have to be alike."""
        (domain,) = self.spec.dim_domains
        return some_values(domain)

    def other(self, values: Tensor, seed: int) -> Tensor:
        """Values that all differ from the given ones, of the same shape and dtype."""
        return other_values(values, self.spec.domain, torch.Generator().manual_seed(seed))


def some_values(domain: Discrete | Real) -> tuple[float, ...]:
    """All that a discrete dim may be, or some that a real one may be."""
    return tuple(range(domain.size)) if isinstance(domain, Discrete) else (-2.0, -0.5, 0.7, 2.5)


TINY_EVENTS: dict[str, TinyEvents] = {
    **{name: TinyEvents(spec) for name, spec in TINY_SPECS.items()},
    "words-5": TinyEvents(EventSpec((5,), Discrete(5)), end=0),
    "pixels-1x2": TinyEvents(EventSpec((3, 1, 2), Discrete(4)), sites="pixel"),
    "pixels-2x2": TinyEvents(EventSpec((3, 2, 2), Discrete(2)), sites="pixel"),
    "real-2x2": TinyEvents(EventSpec((1, 2, 2), Real())),
    "real-5": TinyEvents(EventSpec((5,), Real())),
    "mixed-4": TinyEvents(EventSpec((4,), Mixed((Discrete(3), Real(), Discrete(2), Real())))),
}
