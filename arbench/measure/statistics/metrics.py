"""Nats per event and bits/dim from totals, with standard errors and paired differences.

This is the only place where bits per dim are made of log-probabilities; `bits` turns one unit into
the other. Totals are float64 sums over every scored dim of every event, the last partial batch
included, and are divided once. Errors are over independent groups: single events where all are
independent, else what the task says (a recording), and blocks of a stream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from arbench.measure.statistics.blocks import Blocks, blocks_of
from arbench.measure.statistics.student import t_quantile, two_sided_p_value
from arbench.probability.bits import in_bits


@dataclass(frozen=True)
class NLL:
    """Negative log-likelihood of a split.

    Attributes:
        total_nats: sum over events, float64.
        num_events: N.
        num_dims: number of scored dims, summed over events.
        standard_error_nats: of `nats_per_event`, over independent groups; None for one group, of
            which nobody knows how far others are.
        standard_error_nats_per_dim: of total nats over total dims, likewise.
        num_groups: how many independent groups the errors are over; N where all events are.
        bin_width: how wide a region one value stands for: 1 for discrete data, that of the bins for
            quantised real data, None for real data that were not quantised.
        blocks: of a stream, whose groups they are; None for events.
    """

    total_nats: float
    num_events: int
    num_dims: int
    standard_error_nats: float | None
    standard_error_nats_per_dim: float | None
    num_groups: int
    bin_width: float | None = 1.0
    blocks: Blocks | None = None

    @classmethod
    def from_log_probs(
        cls,
        log_probs: Tensor,
        dims: Tensor | int,
        bin_width: float | None = 1.0,
        *,
        groups: Tensor | None = None,
        is_stream: bool = False,
    ) -> NLL:
        """The totals of per-event log-probabilities.

        Nats per dim is a ratio of two totals. Where events vary in length, part of the spread of
        their nats is that of their lengths, and its error is that of a ratio estimator (Cochran,
        "Sampling techniques", 1977, section 2.11; over clusters of events, section 9A.5): of sums
        over each group of `nats_i - ratio * dims_i`. Nats per event is likewise a ratio, to the
        number of events.

        Args:
            log_probs: `(N,)` nats.
            dims: `(N,)` scored dims of every event, or how many each of them has.
            bin_width: see above.
            groups: `(N,)` integers; events with one number are not independent. None if all are.
            is_stream: whether the events are windows over one sequence, in its order; the groups
                are then blocks of it, see `statistics.blocks`. How many symbols a window
                scores is no chance, so both errors are that of nats per dim.

        Raises:
            ValueError: if there is no event, or a log-probability is not finite.
        """
        nats = -log_probs.double().cpu()
        if nats.dim() != 1 or len(nats) == 0:
            raise ValueError(f"expected (N,) log-probabilities, got {tuple(nats.shape)}")
        if not bool(torch.isfinite(nats).all()):
            first = int((~torch.isfinite(nats)).nonzero()[0])
            raise ValueError(f"event {first}: log-probability {-nats[first].item()}")
        lengths = torch.as_tensor(dims, dtype=torch.float64).cpu().expand(len(nats))
        total_nats, num_dims = nats.sum().item(), lengths.sum().item()
        by_dim = nats - total_nats / num_dims * lengths
        by_event = by_dim if is_stream else nats - total_nats / len(nats)
        blocks = blocks_of(by_dim, lengths) if is_stream else None
        members = groups if blocks is None else blocks.of_window
        error, error_by_dim = _error_of_sum(by_event, members), _error_of_sum(by_dim, members)
        return cls(
            total_nats=total_nats,
            num_events=len(nats),
            num_dims=round(num_dims),
            standard_error_nats=None if error is None else error / len(nats),
            standard_error_nats_per_dim=None if error_by_dim is None else error_by_dim / num_dims,
            num_groups=len(nats) if members is None else len(torch.unique(members)),
            bin_width=bin_width,
            blocks=blocks,
        )

    @property
    def nats_per_event(self) -> float:
        """Mean nats of an event."""
        return self.total_nats / self.num_events

    @property
    def bits_per_dim(self) -> float | None:
        """Total bits over total scored dims; None for real data without bins.

        A bin of width w and density p has probability about `w p`, so quantised real data cost
        `-log2 w` bits more per dim than their density says.
        """
        if self.bin_width is None:
            return None
        return in_bits(self.total_nats / self.num_dims) - math.log2(self.bin_width)

    @property
    def standard_error_bits_per_dim(self) -> float | None:
        """Standard error of `bits_per_dim`; None for one group, and where there are no bits."""
        error = self.standard_error_nats_per_dim
        return None if error is None or self.bin_width is None else in_bits(error)


def _error_of_sum(residuals: Tensor, groups: Tensor | None) -> float | None:
    """Standard error of a sum over independent groups; None if there is but one.

    Args:
        residuals: `(N,)`, which sum to zero: values less what is expected of each.
        groups: `(N,)` integers, or None if all values are independent.
    """
    if groups is not None:
        residuals = group_sums(residuals, groups)
    if len(residuals) < 2:
        return None
    return math.sqrt(len(residuals) * residuals.var().item())


def group_sums(values: Tensor, groups: Tensor) -> Tensor:
    """Sums `(..., G)` over the members of each group.

    Args:
        values: `(..., N)`.
        groups: `(N,)` integers, any.
    """
    members = torch.unique(groups.to(values.device), return_inverse=True)[1]
    sums = values.new_zeros(*values.shape[:-1], int(members.max()) + 1)
    return sums.index_add_(-1, members, values)


# Sums of float32 terms, in another order or on another device, agree to about this share.
ROUNDING_SHARE = 1e-6
# Float64 sums and quotients, in another order, agree to far less than this share.
FLOAT64_ROUNDING_SHARE = 1e-9
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
