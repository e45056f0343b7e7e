"""The paired difference of two densities on the same events: its error, p-value and interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from arbench.measure.statistics.metrics import NLL, ROUNDING_SHARE
from arbench.measure.statistics.student import t_quantile, two_sided_p_value

if TYPE_CHECKING:
    from arbench.measure.statistics.blocks import Blocks

# With fewer, even Student's t rests on the shape of the distribution more than on the data.
FEWEST_GROUPS = 10


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference in nats per event of two densities on the same events.

    Attributes:
        nats: mean of `log p_a(x) - log p_b(x)`; positive when a is better.
        standard_error: of that mean, over independent groups.
        num_events: N.
        rounding: how large a difference may come from rounding alone, in nats.
        num_groups: independent groups of events, at least 2.
        blocks: of a stream, found from the differences themselves; None for events.
    """

    nats: float
    standard_error: float
    num_events: int
    num_groups: int
    rounding: float = 0.0
    blocks: Blocks | None = None

    @property
    def z(self) -> float:
        """The difference in standard errors; 0 if it is rounding, infinite if it never varies."""
        if abs(self.nats) <= self.rounding:
            return 0.0
        if self.standard_error == 0:
            return math.copysign(math.inf, self.nats)
        return self.nats / self.standard_error

    @property
    def has_enough_groups(self) -> bool:
        """Whether the p-value is worth its name."""
        return self.num_groups >= FEWEST_GROUPS

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the standard error."""
        return self.num_groups - 1

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the paired t test."""
        return two_sided_p_value(self.z, self.degrees)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference, by Student's t."""
        half = t_quantile(0.975, self.degrees) * self.standard_error
        return self.nats - half, self.nats + half


def paired_difference(
    log_probs_a: Tensor,
    log_probs_b: Tensor,
    *,
    groups: Tensor | None = None,
    stream_dims: Tensor | None = None,
) -> PairedDifference:
    """The paired difference of a and b on the same events, in one order; positive if a is better.

    Args:
        log_probs_a: `(N,)` nats, N at least 2.
        log_probs_b: `(N,)` nats.
        groups: `(N,)` integers; events with one number are not independent. None if all are.
        stream_dims: `(N,)` scored symbols of each event, where the events are stretches of one
            sequence in its order; the groups are then blocks of it.

    Raises:
        ValueError: if the two do not have the same length of at least 2, or there is but one group.
    """
    if log_probs_a.shape != log_probs_b.shape or log_probs_a.dim() != 1 or len(log_probs_a) < 2:
        raise ValueError(
            "a paired comparison needs the same events, at least two of them; got "
            f"{tuple(log_probs_a.shape)} and {tuple(log_probs_b.shape)}"
        )
    difference = log_probs_a.double() - log_probs_b.double()
    found = NLL.from_log_probs(
        -difference,
        1 if stream_dims is None else stream_dims,
        groups=groups,
        is_stream=stream_dims is not None,
    )
    if found.standard_error_nats is None:
        raise ValueError("a paired comparison needs at least two independent groups of events")
    return PairedDifference(
        nats=found.nats_per_event,
        standard_error=found.standard_error_nats,
        num_events=found.num_events,
        num_groups=found.num_groups,
        rounding=ROUNDING_SHARE * log_probs_a.double().abs().mean().item(),
        blocks=found.blocks,
    )
