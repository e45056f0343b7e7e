"""The paired difference of two results of any measurement, of these weights or of two recipes.

Both numbers are made with the same random weights; see `statistics.resampling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from arbench.measure.measurement import Measurement
from arbench.measure.statistics.metrics import ROUNDING_SHARE
from arbench.measure.statistics.paired import FEWEST_GROUPS, PairedDifference, paired_difference
from arbench.measure.statistics.pairs import Sides
from arbench.measure.statistics.resampling import (
    NUM_RESAMPLES,
    Values,
    error_of_resampled,
    members_of,
    resampled,
)
from arbench.measure.statistics.seeds import FEWEST_SEEDS, RecipesDifference, recipes_difference


@dataclass(frozen=True)
class MeasuredDifference(PairedDifference):
    """How much better one density is than another by some measurement, on the same events.

    `nats` holds the difference in whatever unit the measurement has; positive when a is better.

    Attributes:
        unit: of the difference.
    """

    unit: str = ""

    @property
    def value(self) -> float:
        """The difference; positive when a is better, whatever direction is."""
        return self.nats


def difference_of(
    measurement: Measurement,
    a: Values,
    b: Values,
    groups: Tensor | None,
    *,
    stream_dims: Tensor | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> MeasuredDifference:
    """How much better a is than b by a measurement, over the same events in the same order.

    Both numbers are made with the same weights, so that what is hard for both is no error.

    Args:
        measurement: says what the number is of its values, and which direction is better.
        a: `(N,)` each, float64, N at least 2.
        b: likewise, of the other density.
        groups: as for `error_of`.
        stream_dims: as for `error_of`.
        num_resamples: as for `error_of`.

    Raises:
        ValueError: if the two are not of the same events, there is but one group, or a number is
            not finite for some weights.
    """
    return weights_difference_of(
        measurement, [a], [b], groups, stream_dims=stream_dims, num_resamples=num_resamples
    )


def weights_difference_of(
    measurement: Measurement,
    a: Sequence[Values],
    b: Sequence[Values],
    groups: Tensor | None,
    *,
    stream_dims: Tensor | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> MeasuredDifference:
    """How much better some densities are than others on the average, over the same events.

    It is about these weights: that others would come of other seeds is no part of the error.

    Args:
        measurement: says what the number is of its values, and which direction is better.
        a: the values of each density, at least one.
        b: likewise, of the others.
        groups: as for `error_of`.
        stream_dims: as for `error_of`.
        num_resamples: as for `error_of`.

    Raises:
        ValueError: as `difference_of`.
    """
    sign = _sign(measurement)
    first_a, first_b = next(iter(a[0].values())), next(iter(b[0].values()))
    if measurement.is_mean:
        sign = -sign if measurement.negates else sign
        firsts = [torch.stack([next(iter(v.values())) for v in side]).mean(0) for side in (a, b)]
        found = paired_difference(
            sign * firsts[0], sign * firsts[1], groups=groups, stream_dims=stream_dims
        )
        return MeasuredDifference(**vars(found), unit=measurement.unit)
    if a[0].keys() != b[0].keys() or first_a.shape != first_b.shape or len(first_a) < 2:
        raise ValueError(
            "a paired comparison needs values of the same names and events, at least two of them; "
            f"got {tuple(first_a.shape)} and {tuple(first_b.shape)}"
        )

    def number(side: Sequence[Values], weights: Tensor) -> float:
        return fmean(measurement.value_of(values, weights) for values in side)

    def difference(weights: Tensor) -> float:
        return sign * (number(a, weights) - number(b, weights))

    members, num_groups, blocks = members_of(difference, len(first_a), groups, stream_dims)
    error = _error_of_pair(measurement, a, b, members, num_resamples)
    ones = torch.ones(len(first_a), dtype=torch.float64)
    return MeasuredDifference(
        nats=difference(ones),
        standard_error=error,
        num_events=len(first_a),
        num_groups=num_groups,
        rounding=ROUNDING_SHARE * abs(number(a, ones)),
        blocks=blocks,
        unit=measurement.unit,
    )


def recipes_difference_of(
    measurement: Measurement,
    a: Sequence[Values],
    b: Sequence[Values],
    groups: Tensor | None,
    *,
    stream_dims: Tensor | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> RecipesDifference:
    """How much better recipe a is than recipe b by a measurement, over their seeds and the events.

    Of a mean see `recipes_difference`. Of any other number the variance is that over groups, of the
    difference of the means over seeds, and that of the seeds' numbers. What both hold, of single
    seeds in single groups, is counted twice: the error is rather too large than too small.

    Args:
        measurement: says what the number is of its values, and which direction is better.
        a: the values of each seed, at least 3.
        b: likewise, of the other recipe.
        groups: as for `error_of`.
        stream_dims: as for `error_of`.
        num_resamples: as for `error_of`.

    Raises:
        ValueError: if there are too few seeds, events or groups.
    """
    sign = _sign(measurement)
    if measurement.is_mean or min(len(a), len(b)) < FEWEST_SEEDS:
        sign = -sign if measurement.negates else sign
        stacked = [torch.stack([next(iter(each.values())) for each in side]) for side in (a, b)]
        return recipes_difference(
            sign * stacked[0], sign * stacked[1], groups=groups, stream_dims=stream_dims
        )

    def numbers(side: Sequence[Values], weights: Tensor) -> Tensor:
        found = [measurement.value_of(each, weights) for each in side]
        return torch.tensor(found, dtype=torch.float64)

    def difference(weights: Tensor) -> float:
        return sign * (numbers(a, weights).mean() - numbers(b, weights).mean()).item()

    count = len(next(iter(a[0].values())))
    members, num_groups, blocks = members_of(difference, count, groups, stream_dims)
    error = _error_of_pair(measurement, a, b, members, num_resamples)
    ones = torch.ones(count, dtype=torch.float64)
    each = [numbers(side, ones) for side in (a, b)]
    mean = PairedDifference(
        nats=difference(ones),
        standard_error=error,
        num_events=count,
        num_groups=num_groups,
        rounding=ROUNDING_SHARE * each[0].abs().mean().item(),
        blocks=blocks,
    )
    of_seeds = [found.var().item() / len(found) for found in each]
    return RecipesDifference.over_seeds(mean, (len(a), len(b)), of_seeds)


def sides_by(
    measurement: Measurement, results: Sequence[Sequence[Values]], groups: Tensor | None
) -> tuple[Sides | None, list[int]]:
    """Results to be compared pair by pair by a measurement, and which of those given they are.

    Left out are those whose number is not finite for some weights; None if that is all of them.

    Args:
        measurement: says what the number is of its values, and which direction is better.
        results: of each, the values of its seeds, all of the same names and events.
        groups: as for `error_of`.
    """
    sign = _sign(measurement)
    if measurement.is_mean:
        sign = -sign if measurement.negates else sign
        firsts = [torch.stack([next(iter(v.values())) for v in seeds]) for seeds in results]
        return Sides.of_means([sign * each for each in firsts], groups), [*range(len(results))]
    ones = torch.ones_like(next(iter(results[0][0].values())))
    members, num_groups, _ = members_of(lambda weights: 0.0, len(ones), groups, None)
    if num_groups < FEWEST_GROUPS:
        return None, []
    numbers, spread, kept = [], [], []
    for place, seeds in enumerate(results):
        try:
            found = [measurement.value_of(values, ones) for values in seeds]
            again = [resampled(measurement, values, members, NUM_RESAMPLES) for values in seeds]
        except ValueError:
            continue
        if all(bool(each.isfinite().all()) for each in again):
            numbers.append(sign * torch.tensor(found, dtype=torch.float64))
            spread.append(torch.stack(again))
            kept.append(place)
    return Sides.of_resampled(numbers, spread, num_groups) if kept else None, kept


def _error_of_pair(
    measurement: Measurement,
    a: Sequence[Values],
    b: Sequence[Values],
    members: Tensor,
    num_resamples: int,
) -> float:
    """Standard error over groups of the difference of the mean numbers of two sides.

    Raises:
        ValueError: if there is but one group.
    """
    means = [
        torch.stack([resampled(measurement, v, members, num_resamples) for v in side])
        for side in (a, b)
    ]
    error = error_of_resampled(means[0].mean(0) - means[1].mean(0), int(members.max()) + 1)
    if error is None:
        raise ValueError("a paired comparison needs at least two independent groups of events")
    return error


def _sign(measurement: Measurement) -> float:
    """By which a difference is positive where a is better."""
    return 1.0 if measurement.better == "higher" else -1.0
