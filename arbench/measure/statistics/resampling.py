"""Bayesian bootstrap over groups: the standard error of any number.

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
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from arbench.measure.statistics.metrics import NLL
from arbench.probability.randomness import uniforms

if TYPE_CHECKING:
    from arbench.measure.measurement import Measurement
    from arbench.measure.statistics.blocks import Blocks

Values = Mapping[str, Tensor]
Statistic = Callable[[Tensor], float]
NUM_RESAMPLES = 1000  # the error is then itself known to about 2 %
_MOST_CELLS = 1000
_MOST_WEIGHTS = 1 << 14  # drawn at once
_KEY = 20260  # of all weights


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
    members, num_groups, _ = members_of(number, count, groups, stream_dims)
    if num_groups < 2:
        return None
    numbers = resampled(measurement, values, members, num_resamples)
    return error_of_resampled(numbers, num_groups)


def group_weights(num_groups: int, num_resamples: int) -> Iterator[Tensor]:
    """Random weights `(num_groups,)`, float64, each time others; they sum to `num_groups`."""
    at_once = max(1, _MOST_WEIGHTS // num_groups)
    for start in range(0, num_resamples, at_once):
        numbers = uniforms(at_once * num_groups, _KEY, num_groups, start + 1)
        weights = -torch.from_numpy(numbers).neg().log1p().view(at_once, num_groups)
        scaled = weights * (num_groups / weights.sum(1, keepdim=True))
        yield from scaled[: num_resamples - start]


def resampled(
    measurement: Measurement, values: Values, members: Tensor, num_resamples: int
) -> Tensor:
    """The number `(num_resamples,)` of some values under random weights, float64."""
    weights = group_weights(int(members.max()) + 1, num_resamples)
    found = [measurement.value_of(values, each[members]) for each in weights]
    return torch.tensor(found, dtype=torch.float64)


def error_of_resampled(numbers: Tensor, num_groups: int) -> float | None:
    """Standard deviation of a number under random weights, corrected; None for one group."""
    if num_groups < 2:
        return None
    if not bool(numbers.isfinite().all()):
        raise ValueError("value_of must give a finite number for every set of positive weights")
    return numbers.std().item() * math.sqrt((num_groups + 1) / (num_groups - 1))


def members_of(
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
    from arbench.measure.statistics.blocks import Blocks, blocks_of

    count = len(dims)
    num_cells = min(count, _MOST_CELLS)
    cells = torch.arange(count) * num_cells // count
    whole = statistic(torch.ones(count, dtype=torch.float64))
    without = [statistic((cells != cell).double()) for cell in range(num_cells)]
    influence = whole - torch.tensor(without, dtype=torch.float64)
    sizes = torch.zeros(num_cells, dtype=torch.float64).index_add_(0, cells, dims.double())
    blocks = blocks_of(influence - influence.mean(), sizes)
    return Blocks(blocks.of_window[cells], blocks.length, blocks.num_blocks, blocks.still_growing)
