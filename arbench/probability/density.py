"""The protocol of a density: `log_prob`, `sample`, `kind`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from arbench.probability.bits import Kind
from arbench.probability.events import EventSpec


@dataclass(frozen=True)
class Excerpt:
    """A fair part of what a slow sampler does for one batch, for whoever times it.

    Attributes:
        call: does the part once.
        num_parts: how many such parts make the batch.
    """

    call: Callable[[], object]
    num_parts: float


@runtime_checkable
class Density(Protocol):
    """Anything that can be evaluated and sampled.

    Some measurements need more than that, and refuse a density that does not offer it (see
    `arbench.probability.extras`).

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

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type that it computes in."""
        ...

    @property
    def samplers(self) -> tuple[str, ...]:
        """Names of the samplers that it offers, the default first."""
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

    def sample(
        self,
        num_events: int,
        *,
        generator: torch.Generator | None = None,
        method: str = "auto",
        given: Tensor | None = None,
        known: Tensor | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Independent events that depend on the generator alone, or completions of given events.

        Args:
            num_events: B.
            generator: a CPU generator.
            method: one of `samplers`; "auto" is the first.
            given: `(B, *event_shape)` or `event_shape`, values to complete; needs `known`.
            known: `event_shape` boolean, which dims of `given` are known.
            progress: called with (how much is done, how much there is).

        Returns:
            `(B, *event_shape)`; int64 for discrete domains.

        Raises:
            ValueError: if there is no such sampler, or it cannot complete what is given.
        """
        ...

    def excerpt(self, method: str, batch_size: int) -> Excerpt | None:
        """A part of a sampler that is too slow to be timed in full; None for all others."""
        ...
