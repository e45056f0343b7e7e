"""Totals first, ratios last: nats per event and bits per dim, with standard errors.

This is the only place where bits per dim are made. Totals are float64 sums over every scored dim
of every event, the last partial batch included, and are divided once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NLL:
    """Negative log-likelihood of a split.

    Attributes:
        total_nats: sum over events, float64.
        num_events: N.
        num_dims: number of scored dims, summed over events.
        variance_nats: unbiased sample variance of the nats per event (0 for one event).
        bin_width: how wide a region one value stands for: 1 for discrete data, that of the bins for
            quantised real data, None for real data that were not quantised.
    """

    total_nats: float
    num_events: int
    num_dims: int
    variance_nats: float
    bin_width: float | None = 1.0

    @classmethod
    def from_log_probs(cls, log_probs: Tensor, num_dims: int, bin_width: float | None = 1.0) -> NLL:
        """The totals of per-event log-probabilities.

        Args:
            log_probs: `(N,)` nats.
            num_dims: scored dims, summed over the N events.
            bin_width: see above.

        Raises:
            ValueError: if there is no event, or a log-probability is not finite.
        """
        log_probs = log_probs.double().cpu()
        if log_probs.dim() != 1 or len(log_probs) == 0:
            raise ValueError(f"expected (N,) log-probabilities, got {tuple(log_probs.shape)}")
        if not bool(torch.isfinite(log_probs).all()):
            first = int((~torch.isfinite(log_probs)).nonzero()[0])
            raise ValueError(f"event {first}: log-probability {log_probs[first].item()}")
        variance = log_probs.var().item() if len(log_probs) > 1 else 0.0
        return cls(-log_probs.sum().item(), len(log_probs), num_dims, variance, bin_width)

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
        return in_bits_per_dim(self.total_nats, self.num_dims) - math.log2(self.bin_width)

    @property
    def standard_error_nats(self) -> float:
        """Standard error of `nats_per_event` over independent events."""
        return math.sqrt(self.variance_nats / self.num_events)

    @property
    def standard_error_bits_per_dim(self) -> float:
        """Standard error of `bits_per_dim`, the number of dims taken as known."""
        return in_bits_per_dim(self.standard_error_nats * self.num_events, self.num_dims)


def in_bits_per_dim(total_nats: float, num_dims: int) -> float:
    """Total nats over `num_dims` scored dims, as bits per dim."""
    return total_nats / (math.log(2) * num_dims)


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference in nats per event of two densities on the same events.

    Attributes:
        nats: mean of `log p_a(x) - log p_b(x)`; positive when a is better.
        standard_error: of that mean.
        num_events: N.
    """

    nats: float
    standard_error: float
    num_events: int

    @property
    def z(self) -> float:
        """The difference in standard errors; infinite when it never varies and is not 0."""
        if self.standard_error == 0:
            return math.copysign(math.inf, self.nats) if self.nats else 0.0
        return self.nats / self.standard_error

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
    error = difference.std().item() / math.sqrt(num_events)
    return PairedDifference(difference.mean().item(), error, num_events)
