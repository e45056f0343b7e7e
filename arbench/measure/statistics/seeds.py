"""Compares two recipes over several seeds each.

A test over events alone speaks of the weights at hand. Train either recipe again and its number
moves, by more than that test's error where the test split is large: two seeds of one recipe then
come out as different. A verdict about recipes has to count the choice of seeds, too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from arbench.measure.statistics.metrics import group_sums
from arbench.measure.statistics.paired import PairedDifference, paired_difference

FEWEST_SEEDS = 3  # with two, one distance is all that is known of a recipe's spread


@dataclass(frozen=True)
class RecipesDifference(PairedDifference):
    """Mean difference in nats per event of two recipes, over their seeds and the test events.

    Attributes:
        num_seeds: of a and of b.
        error_of_groups: what the choice of test events alone contributes to the standard error.
        error_of_seeds: what the choice of seeds alone contributes.
        effective_degrees: of freedom of the whole.
    """

    num_seeds: tuple[int, int] = (0, 0)
    error_of_groups: float = 0.0
    error_of_seeds: float = 0.0
    effective_degrees: float = 0.0

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the standard error."""
        return self.effective_degrees

    @classmethod
    def over_seeds(
        cls,
        mean: PairedDifference,
        num_seeds: tuple[int, int],
        of_seeds: Sequence[float],
        left: float = 0.0,
    ) -> RecipesDifference:
        """The difference with the error that the choice of seeds adds; see `recipes_difference`.

        Args:
            mean: of the averages over seeds, with its error over groups.
            num_seeds: of a and of b.
            of_seeds: squared error that the seeds of each contribute.
            left: what both parts hold, as a squared error, if it is known.
        """
        of_groups = mean.standard_error**2
        variance = max(of_groups + sum(of_seeds) - left, of_groups, sum(of_seeds))
        scatter = of_groups**2 / (mean.num_groups - 1) + sum(
            each**2 / (count - 1) for each, count in zip(of_seeds, num_seeds, strict=True)
        )
        return cls(
            nats=mean.nats,
            standard_error=math.sqrt(variance),
            num_events=mean.num_events,
            num_groups=mean.num_groups,
            rounding=mean.rounding,
            blocks=mean.blocks,
            num_seeds=num_seeds,
            error_of_groups=mean.standard_error,
            error_of_seeds=math.sqrt(sum(of_seeds)),
            effective_degrees=variance**2 / scatter if scatter > 0 else mean.num_groups - 1,
        )


def recipes_difference(
    log_probs_a: Tensor,
    log_probs_b: Tensor,
    *,
    groups: Tensor | None = None,
    stream_dims: Tensor | None = None,
) -> RecipesDifference:
    """How much better recipe a is than recipe b, on the same events in the same order.

    Seeds and groups of events are crossed: every seed meets every group. With the value of seed s
    in group g as `m_g + a_s + r_sg` (of each recipe), the mean over S seeds and G groups varies by
    `var(m) / G + var(a) / S + var(r) / (S G)`. Three things can be measured:

    - of groups: the squared error, over groups, of the differences averaged over seeds. It holds
      `var(m) / G + var(r) / (S G)`, for both recipes.
    - of seeds: `s^2 / S` with the variance `s^2` of the seeds' means. It holds
      `var(a) / S + var(r) / (S G)`.
    - of what is left, `var(r) / (S G)`, from the residuals of rows and columns of the table.

    The variance is the first two less the third, which both hold; at least the larger of the two.
    Its degrees of freedom are Welch and Satterthwaite's, from those of the first (G - 1) and of
    each recipe's seeds (S - 1).

    Args:
        log_probs_a: `(S_a, N)` nats, a row for each seed, at least 3.
        log_probs_b: `(S_b, N)` nats.
        groups: `(N,)` integers; events with one number are not independent. None if all are.
        stream_dims: `(N,)` scored symbols of each event, of a stream.

    Raises:
        ValueError: if there are too few seeds, events or groups.

    Source: the crossed random-effects model of two factors, one observation per cell; Searle,
        Casella and McCulloch, "Variance components", 1992, chapter 4; Satterthwaite, "An
        approximate distribution of estimates of variance components", Biometrics 2, 1946.
    """
    num_seeds = len(log_probs_a), len(log_probs_b)
    if min(num_seeds) < FEWEST_SEEDS:
        raise ValueError(
            f"a verdict about recipes takes at least {FEWEST_SEEDS} seeds of each, got "
            f"{num_seeds[0]} and {num_seeds[1]}"
        )
    a, b = log_probs_a.double(), log_probs_b.double()
    mean = paired_difference(a.mean(0), b.mean(0), groups=groups, stream_dims=stream_dims)
    members = groups if mean.blocks is None else mean.blocks.of_window
    of_seeds = [error_of_seeds(recipe) for recipe in (a, b)]
    left = sum(error_of_cells(recipe, members) for recipe in (a, b))
    return RecipesDifference.over_seeds(mean, num_seeds, of_seeds, left)


def mean_over_seeds(
    values: Sequence[float], errors: Sequence[float | None]
) -> tuple[float, float | None]:
    """The number of one recipe, and its standard error over events and seeds.

    The squared error is the mean of those of the seeds, over events, and the variance of the
    numbers over how many there are. The first is no smaller than that of the mean, as the seeds
    share their events; so the whole is rather too large than too small. Of fewer than 3 seeds it is
    that over events alone, and the number is one of these weights.

    Args:
        values: the number of each seed, in any unit.
        errors: the standard error of each over independent groups of events; None where there is
            but one group.
    """
    mean = statistics.fmean(values)
    known = [error for error in errors if error is not None]
    if len(known) < len(values):
        return mean, None
    squared = statistics.fmean([error**2 for error in known])
    if len(values) >= FEWEST_SEEDS:
        squared += statistics.variance(values) / len(values)
    return mean, math.sqrt(squared)


def error_of_seeds(log_probs: Tensor) -> float:
    """Squared error of the mean over seeds `(S, N)`, from the spread of the seeds' means."""
    return log_probs.mean(1).var().item() / len(log_probs)


def error_of_cells(log_probs: Tensor, groups: Tensor | None) -> float:
    """What seeds and groups do not explain each alone, as a part of the squared error."""
    num_seeds, num_events = log_probs.shape
    residuals = log_probs - log_probs.mean(0)
    residuals = residuals - residuals.mean(1, keepdim=True)
    if groups is not None:
        residuals = group_sums(residuals, groups)
    num_groups = residuals.shape[1]
    if num_groups < 2:
        return 0.0
    per_cell = residuals.square().sum().item() / ((num_seeds - 1) * (num_groups - 1))
    return per_cell * num_groups / num_events**2 / num_seeds
