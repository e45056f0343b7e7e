"""Nats per event and bits/dim from totals, with standard errors.

This is the only place where totals are made of log-probabilities; `bits` turns nats into bits.
Totals are float64 sums over every scored dim of every event, the last partial batch included, and
are divided once. Errors are over independent groups: single events where all are independent, else
what the task says (a recording), and blocks of a stream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from arbench.probability.bits import in_bits

if TYPE_CHECKING:
    from arbench.measure.statistics.blocks import Blocks


@dataclass(frozen=True)
class NLL:
    """Negative log-likelihood of a split.

    Attributes:
        total_nats: sum over events, float64.
        num_events: N.
        num_dims: number of scored dims, summed over events.
        nats_per_event: mean nats of an event.
        bits_per_dim: total bits over total scored dims, see `in_bits`; None for real data without
            bins.
        standard_error_nats: of `nats_per_event`, over independent groups; None for one group, of
            which nobody knows how far others are.
        standard_error_nats_per_dim: of total nats over total dims, likewise.
        standard_error_bits_per_dim: of `bits_per_dim`; None for one group, and where there are no
            bits.
        num_groups: how many independent groups the errors are over; N where all events are.
        bin_width: how wide a region one value stands for: 1 for discrete data, that of the bins for
            quantised real data, None for real data that were not quantised.
        blocks: of a stream, whose groups they are; None for events.
    """

    total_nats: float
    num_events: int
    num_dims: int
    nats_per_event: float
    bits_per_dim: float | None
    standard_error_nats: float | None
    standard_error_nats_per_dim: float | None
    standard_error_bits_per_dim: float | None
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
        over each group of `nats_i - ratio * dims_i`. Nats per event is a ratio to their number.

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
        blocks = None
        if is_stream:
            from arbench.measure.statistics.blocks import blocks_of

            blocks = blocks_of(by_dim, lengths)
        members = groups if blocks is None else blocks.of_window
        error, error_by_dim = _error_of_sum(by_event, members), _error_of_sum(by_dim, members)
        per_dim = None if error_by_dim is None else error_by_dim / num_dims
        bits = None if per_dim is None or bin_width is None else in_bits(per_dim)
        return cls(
            total_nats=total_nats,
            num_events=len(nats),
            num_dims=round(num_dims),
            nats_per_event=total_nats / len(nats),
            bits_per_dim=None if bin_width is None else in_bits(total_nats / num_dims, bin_width),
            standard_error_nats=None if error is None else error / len(nats),
            standard_error_nats_per_dim=per_dim,
            standard_error_bits_per_dim=bits,
            num_groups=len(nats) if members is None else len(torch.unique(members)),
            bin_width=bin_width,
            blocks=blocks,
        )


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
