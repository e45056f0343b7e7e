"""Totals first, ratios last: nats per event and bits per dim, with standard errors.

This is the only place where bits per dim are made of log-probabilities; `bits` turns one unit into
the other. Totals are float64 sums over every scored dim of every event, the last partial batch
included, and are divided once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from arbench.probability.bits import NATS_PER_BIT, in_bits


@dataclass(frozen=True)
class NLL:
    """Negative log-likelihood of a split.

    Attributes:
        total_nats: sum over events, float64.
        num_events: N.
        num_dims: number of scored dims, summed over events.
        standard_error_nats: of `nats_per_event`, over independent events; None for one event, of
            which nobody knows how far others are.
        standard_error_nats_per_dim: of total nats over total dims, likewise.
        bin_width: how wide a region one value stands for: 1 for discrete data, that of the bins for
            quantised real data, None for real data that were not quantised.
    """

    total_nats: float
    num_events: int
    num_dims: int
    standard_error_nats: float | None
    standard_error_nats_per_dim: float | None
    bin_width: float | None = 1.0

    @classmethod
    def from_log_probs(
        cls, log_probs: Tensor, dims: Tensor | int, bin_width: float | None = 1.0
    ) -> NLL:
        """The totals of per-event log-probabilities.

        Nats per dim is a ratio of two totals. Where events vary in length, part of the spread of
        their nats is that of their lengths, and its error is that of a ratio estimator (Cochran,
        "Sampling techniques", 1977, section 2.11): of `nats_i - ratio * dims_i`.

        Args:
            log_probs: `(N,)` nats.
            dims: `(N,)` scored dims of every event, or how many each of them has.
            bin_width: see above.

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
        residuals = nats - total_nats / num_dims * lengths
        is_spread = len(nats) > 1
        return cls(
            total_nats=total_nats,
            num_events=len(nats),
            num_dims=round(num_dims),
            standard_error_nats=_error_of_sum(nats) / len(nats) if is_spread else None,
            standard_error_nats_per_dim=_error_of_sum(residuals) / num_dims if is_spread else None,
            bin_width=bin_width,
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
        """Standard error of `bits_per_dim`; None for one event."""
        error = self.standard_error_nats_per_dim
        return None if error is None else in_bits(error)


def bits_of_dims(log_probs: Tensor, bin_width: float | None) -> Tensor:
    """Bits of single dims from their log-probabilities in nats; see `NLL` for the bin width.

    Real data without bins have those of their densities, which may be negative.
    """
    return -log_probs / NATS_PER_BIT - math.log2(bin_width or 1)


def _error_of_sum(values: Tensor) -> float:
    """Standard error of a sum of independent values `(N,)`, N at least 2."""
    return math.sqrt(len(values) * values.var().item())


# Sums of float32 terms, in another order or on another device, agree to about this share.
ROUNDING_SHARE = 1e-6
# Float64 sums and quotients, in another order, agree to far less than this share.
FLOAT64_ROUNDING_SHARE = 1e-9
FEWEST_EVENTS = 30  # with fewer, the normal approximation of a test promises too much


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference in nats per event of two densities on the same events.

    Attributes:
        nats: mean of `log p_a(x) - log p_b(x)`; positive when a is better.
        standard_error: of that mean.
        num_events: N.
        rounding: how large a difference may come from rounding alone, in nats.
    """

    nats: float
    standard_error: float
    num_events: int
    rounding: float = 0.0

    @property
    def z(self) -> float:
        """The difference in standard errors; 0 if it is rounding, infinite if it never varies."""
        if abs(self.nats) <= self.rounding:
            return 0.0
        if self.standard_error == 0:
            return math.copysign(math.inf, self.nats)
        return self.nats / self.standard_error

    @property
    def has_enough_events(self) -> bool:
        """Whether the p-value is worth its name."""
        return self.num_events >= FEWEST_EVENTS

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the normal approximation to the paired t test."""
        return math.erfc(abs(self.z) / math.sqrt(2))


def paired_difference(log_probs_a: Tensor, log_probs_b: Tensor) -> PairedDifference:
    """How much better a is than b, on the same events in the same order.

    Args:
        log_probs_a: `(N,)` nats, N at least 2.
        log_probs_b: `(N,)` nats.

    Raises:
        ValueError: if the two do not have the same length of at least 2.
    """
    if log_probs_a.shape != log_probs_b.shape or log_probs_a.dim() != 1 or len(log_probs_a) < 2:
        raise ValueError(
            "a paired comparison needs the same events, at least two of them; got "
            f"{tuple(log_probs_a.shape)} and {tuple(log_probs_b.shape)}"
        )
    difference = log_probs_a.double() - log_probs_b.double()
    num_events = len(difference)
    return PairedDifference(
        nats=difference.mean().item(),
        standard_error=difference.std().item() / math.sqrt(num_events),
        num_events=num_events,
        rounding=ROUNDING_SHARE * log_probs_a.double().abs().mean().item(),
    )
