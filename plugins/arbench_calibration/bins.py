"""Bins of predicted probabilities, and the expected calibration error over them.

Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017,
equation 3; Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
binning", AAAI 2015, for two values.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def equal_width(num_bins: int) -> Tensor:
    """Upper edges of bins of one width, all but the last, `(M - 1,)` float64."""
    return torch.arange(1, num_bins).double() / num_bins


def equal_mass(predicted: Tensor, num_bins: int) -> Tensor:
    """Upper edges of bins that hold about as many of these probabilities, `(M - 1,)` float64."""
    ordered = predicted.sort().values
    ranks = torch.arange(1, num_bins) * len(ordered) // num_bins
    return ordered[ranks.clamp(max=len(ordered) - 1)]


class BinSums:
    """What was predicted and what happened, by event and bin, summed over dims.

    Args:
        num_rows: N, such as the number of events.
        edges: upper ones of all bins but the last, `(M - 1,)`; a bin holds its upper edge.

    Attributes:
        predicted: sums of probabilities, `(N, M)` float64.
        happened: how often it happened, `(N, M)` float64.
        counts: of dims, `(N, M)` float64.
        variances: of what happens, if the probabilities are right, `(N, M)` float64.
    """

    def __init__(self, num_rows: int, edges: Tensor) -> None:
        self.edges = edges
        shape = (num_rows, len(edges) + 1)
        self.predicted = torch.zeros(shape, dtype=torch.float64)
        self.happened = torch.zeros_like(self.predicted)
        self.counts = torch.zeros_like(self.predicted)
        self.variances = torch.zeros_like(self.predicted)

    def add(self, rows: Tensor, predicted: Tensor, happened: Tensor) -> None:
        """Add dims, `(n,)` each: their row, their probability, and 1 where it happened."""
        place = rows * self.counts.shape[1] + torch.searchsorted(self.edges, predicted)
        for sums, terms in (
            (self.predicted, predicted),
            (self.happened, happened),
            (self.counts, torch.ones_like(predicted)),
            (self.variances, predicted * (1 - predicted)),
        ):
            sums.view(-1).index_add_(0, place, terms)

    @property
    def gaps(self) -> Tensor:
        """What was predicted minus what happened, `(N, M)`."""
        return self.predicted - self.happened


def calibration_error(gaps: Tensor, counts: Tensor) -> Tensor:
    """`sum_b |predicted_b - happened_b| / n`, the expected calibration error.

    It is `sum_b n_b / n |mean probability_b - frequency_b|`.

    Args:
        gaps: predicted minus happened, `(..., M)`.
        counts: dims in all bins, `(...)`.
    """
    error: Tensor = gaps.abs().sum(-1) / counts
    return error


def error_by_chance(variances: Tensor, counts: Tensor) -> Tensor:
    """About what `calibration_error` is when every probability is right.

    Then what happens minus what was predicted is noise of mean 0. From dim to dim of an event it is
    uncorrelated, since each probability is given all dims before, and so is the bin. The absolute
    value of a normal number has the mean `sqrt(2 / pi)` standard deviations.

    Args:
        variances: `sum p (1 - p)`, `(..., M)`.
        counts: dims in all bins, `(...)`.
    """
    return math.sqrt(2 / math.pi) * variances.sqrt().sum(-1) / counts
