"""The density protocol: all that evaluation, speed, boards and the zoo know of a model."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from arbench.probability.events import EventSpec

Kind = Literal["exact", "density", "bound"]


@runtime_checkable
class Density(Protocol):
    """Anything that can be evaluated and sampled.

    `kind` is "exact" for a log-probability, "density" for the log-density of real data, "bound" for
    a lower bound on either.
    """

    @property
    def spec(self) -> EventSpec:
        """Shape and domain of the events."""
        ...

    @property
    def kind(self) -> Kind:
        """What `log_prob` is."""
        ...

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """Log-probability of each event in nats, over its scored dims.

        Args:
            events: `(B, *event_shape)`.
            scored: `(B, *event_shape)` boolean; a dim that is not scored is seen by later ones
                but adds nothing. None scores everything.

        Returns:
            `(B,)` float64.
        """
        ...

    def sample(self, num_events: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Independent events, `(num_events, *event_shape)`, that depend on the generator alone."""
        ...
