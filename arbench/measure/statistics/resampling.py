"""Bayesian bootstrap over groups: the error or the difference of any number.

The mean of values has a formula for its standard error. Any other number, such as a ratio or an
AUROC, is made again and again from the same values with random weights, one for each independent
group, and its spread is the error. The weights are Rubin's: exponential ones, made to sum to the
number of groups. Unlike counts of draws with replacement they are never 0, so that a number over
two kinds of events is defined however rare one of them is. They are a function of the number of
groups alone, so that an error is the same on every machine.

Source: Rubin, "The Bayesian bootstrap", Annals of Statistics 9(1), 1981. The spread of the mean of
    G groups comes out too small by `sqrt((G - 1) / (G + 1))`, for which all errors are corrected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from arbench.measure.measurement import Measurement
from arbench.measure.statistics.blocks import Blocks, blocks_of
from arbench.measure.statistics.metrics import (
    NLL,
    ROUNDING_SHARE,
    PairedDifference,
    paired_difference,
)
from arbench.measure.statistics.seeds import FEWEST_SEEDS, RecipesDifference, recipes_difference
from arbench.probability.randomness import uniforms

Values = Mapping[str, Tensor]
Statistic = Callable[[Tensor], float]
# Numbers of values under random weights, which all pairs of a board ask for; by the id of values.
Memory = dict[int, tuple[Values, Tensor]]
NUM_RESAMPLES = 1000  # the error is then itself known to about 2 %
_MOST_CELLS = 1000
_MOST_WEIGHTS = 1 << 14  # drawn at once
_KEY = 20260  # of all weights


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


def error_of(
    measurement: Measurement,
    values: Values,
    groups: Tensor | None,
    *,
    stream_dims: Tensor | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> float | None:
    """Standard error of a measurement's number; None for a single group.

    Args:
        measurement: says what the number is of its values.
        values: `(N,)` each, float64.
        groups: `(N,)` integers; values with one number are not independent. None if all are.
        stream_dims: `(N,)` scored symbols of each window, where the values are of windows of one
            sequence, in its order; the groups are then blocks of it.
        num_resamples: how often the number is made again, where it is no mean.

    Raises:
        ValueError: if the number is not finite for some weights.
    """
    if measurement.is_mean:
        first = next(iter(values.values()))
        dims = 1 if stream_dims is None else stream_dims
        streams = stream_dims is not None
        return NLL.from_log_probs(
            -first, dims, groups=groups, is_stream=streams
        ).standard_error_nats

    def number(weights: Tensor) -> float:
        return float(measurement.value_of(values, weights))

    count = len(next(iter(values.values())))
    members, num_groups, _ = _members(number, count, groups, stream_dims)
    return _spread(measurement, values, members, num_groups, num_resamples)


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
    memory: Memory | None = None,
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
        memory: what was found of the same values before, where several pairs are compared.

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

    members, num_groups, blocks = _members(difference, len(first_a), groups, stream_dims)
    kept = None if blocks is not None else memory  # blocks are the pair's own
    error = _error_of_pair(measurement, a, b, members, num_resamples, kept)
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
    memory: Memory | None = None,
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
        memory: what was found of the same values before, where several pairs are compared.

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
    members, num_groups, blocks = _members(difference, count, groups, stream_dims)
    kept = None if blocks is not None else memory  # blocks are the pair's own
    error = _error_of_pair(measurement, a, b, members, num_resamples, kept)
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


def _error_of_pair(
    measurement: Measurement,
    a: Sequence[Values],
    b: Sequence[Values],
    members: Tensor,
    num_resamples: int,
    memory: Memory | None,
) -> float:
    """Standard error over groups of the difference of the mean numbers of two sides.

    Raises:
        ValueError: if there is but one group.
    """
    memory = {} if memory is None else memory
    means = [
        torch.stack([_numbers(measurement, v, members, num_resamples, memory) for v in side])
        for side in (a, b)
    ]
    error = _error_of(means[0].mean(0) - means[1].mean(0), int(members.max()) + 1)
    if error is None:
        raise ValueError("a paired comparison needs at least two independent groups of events")
    return error


def _sign(measurement: Measurement) -> float:
    """By which a difference is positive where a is better."""
    return 1.0 if measurement.better == "higher" else -1.0


def group_weights(num_groups: int, num_resamples: int) -> Iterator[Tensor]:
    """Random weights `(num_groups,)`, float64, each time others; they sum to `num_groups`."""
    at_once = max(1, _MOST_WEIGHTS // num_groups)
    for start in range(0, num_resamples, at_once):
        numbers = uniforms(at_once * num_groups, _KEY, num_groups, start + 1)
        weights = -torch.from_numpy(numbers).neg().log1p().view(at_once, num_groups)
        scaled = weights * (num_groups / weights.sum(1, keepdim=True))
        yield from scaled[: num_resamples - start]


def _spread(
    measurement: Measurement, values: Values, members: Tensor, num_groups: int, num_resamples: int
) -> float | None:
    """Standard error of the number of some values; None for one group."""
    if num_groups < 2:
        return None
    return _error_of(_numbers(measurement, values, members, num_resamples, {}), num_groups)


def _numbers(
    measurement: Measurement, values: Values, members: Tensor, num_resamples: int, memory: Memory
) -> Tensor:
    """The number `(num_resamples,)` of some values under random weights, float64."""
    if (key := id(values)) not in memory:
        num_groups = int(members.max()) + 1
        weights = group_weights(num_groups, num_resamples)
        found = [measurement.value_of(values, each[members]) for each in weights]
        memory[key] = values, torch.tensor(found, dtype=torch.float64)
    return memory[key][1]


def _error_of(numbers: Tensor, num_groups: int) -> float | None:
    """Standard deviation of a number under random weights, corrected; None for one group."""
    if num_groups < 2:
        return None
    if not bool(numbers.isfinite().all()):
        raise ValueError("value_of must give a finite number for every set of positive weights")
    return numbers.std().item() * math.sqrt((num_groups + 1) / (num_groups - 1))


def _members(
    statistic: Statistic, count: int, groups: Tensor | None, stream_dims: Tensor | None
) -> tuple[Tensor, int, Blocks | None]:
    """The group of each value `(N,)`, counted from 0; how many there are; blocks of a stream."""
    if stream_dims is not None:
        blocks = _blocks(statistic, stream_dims)
        return blocks.of_window, blocks.num_blocks, blocks
    if groups is None:
        return torch.arange(count), count, None
    members = torch.unique(groups, return_inverse=True)[1]
    return members, int(members.max()) + 1, None


def _blocks(statistic: Statistic, dims: Tensor) -> Blocks:
    """Blocks of a stream over which a number has an honest error; see `statistics.blocks`.

    What stands for the residual of a stretch is by how much the number changes without it.
    """
    count = len(dims)
    num_cells = min(count, _MOST_CELLS)
    cells = torch.arange(count) * num_cells // count
    whole = statistic(torch.ones(count, dtype=torch.float64))
    without = [statistic((cells != cell).double()) for cell in range(num_cells)]
    influence = whole - torch.tensor(without, dtype=torch.float64)
    sizes = torch.zeros(num_cells, dtype=torch.float64).index_add_(0, cells, dims.double())
    blocks = blocks_of(influence - influence.mean(), sizes)
    return Blocks(blocks.of_window[cells], blocks.length, blocks.num_blocks, blocks.still_growing)
