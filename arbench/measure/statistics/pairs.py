"""Tests all pairs of many results on the same events at once, as `paired` and `seeds` test one.

The variance of a difference is that of both sides less twice their covariance, and all covariances
are one product of matrices. What all results have in common, such as how hard an event is, is taken
away first, so that it does not drown what sets them apart. Pairs that are still so close that
digits would be lost are subtracted before anything is squared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy import special
from torch import Tensor

from arbench.measure.statistics.metrics import ROUNDING_SHARE, group_sums
from arbench.measure.statistics.paired import FEWEST_GROUPS
from arbench.measure.statistics.seeds import FEWEST_SEEDS, error_of_cells, error_of_seeds

_BLOCK = 512  # results on either side of a product
_CLOSE = 1e-3  # variance of a difference, over that of both sides, below which it is made anew
_AT_ONCE = 1 << 22  # numbers of close pairs that are subtracted at once


@dataclass(frozen=True)
class Sides:
    """R results, to be compared pair by pair, each of one density or the mean of several seeds.

    Attributes:
        parts: `(2, R)`, whose sum over the parts is each one's number, the higher the better; in
            two parts a difference of numbers keeps its digits.
        spread: `(R, M)`, of rows that sum to zero; the squared standard error of a difference over
            groups is the variance of the difference of two rows, times `scale`.
        scale: see there.
        num_groups: independent groups of events.
        rounding: `(R,)`, how large a difference may come of rounding alone.
        num_seeds: `(R,)`.
        of_seeds: `(R,)`, the squared error that the choice of seeds contributes.
        of_cells: `(R,)`, what of it the error over groups holds as well.
    """

    parts: Tensor
    spread: Tensor
    scale: float
    num_groups: int
    rounding: Tensor
    num_seeds: Tensor
    of_seeds: Tensor
    of_cells: Tensor

    @classmethod
    def of_means(cls, seeds: Sequence[Tensor], groups: Tensor | None) -> Sides:
        """Those whose numbers are means over events; see `paired_difference`.

        Args:
            seeds: of each result, `(S, N)` values, the higher the better.
            groups: `(N,)` integers; events with one number are not independent. None if all are.
        """
        values = torch.stack([each.double().mean(0) for each in seeds])
        num_events = values.shape[1]
        rounding = ROUNDING_SHARE * values.abs().mean(1)
        values -= values.mean(0)
        parts = torch.empty(2, len(values), dtype=torch.float64)
        for part in parts:
            torch.mean(values, 1, out=part)
            values -= part[:, None]
        if groups is not None:
            values = group_sums(values, groups)
            values -= values.mean(1, keepdim=True)
        num_groups = values.shape[1]
        recipes = [each.double() if len(each) >= FEWEST_SEEDS else None for each in seeds]
        return cls(
            parts=parts,
            spread=values,
            scale=num_groups / num_events**2,
            num_groups=num_groups,
            rounding=rounding,
            num_seeds=torch.tensor([len(each) for each in seeds]),
            of_seeds=_numbers(0.0 if r is None else error_of_seeds(r) for r in recipes),
            of_cells=_numbers(0.0 if r is None else error_of_cells(r, groups) for r in recipes),
        )

    @classmethod
    def of_resampled(
        cls, numbers: Sequence[Tensor], resampled: Sequence[Tensor], num_groups: int
    ) -> Sides:
        """Those with any number, made again with random weights; see `statistics.differences`.

        Args:
            numbers: of each result, `(S,)`, the higher the better.
            resampled: of each, `(S, M)`, its numbers with weights that are the same for all.
            num_groups: independent groups of events, at least 2.
        """
        means = torch.stack([each.mean() for each in numbers])
        spread = torch.stack([each.mean(0) for each in resampled])
        spread -= spread.mean(0)
        spread -= spread.mean(1, keepdim=True)
        recipes = [each if len(each) >= FEWEST_SEEDS else None for each in numbers]
        return cls(
            parts=torch.stack([means, torch.zeros_like(means)]),
            spread=spread,
            scale=(num_groups + 1) / (num_groups - 1),
            num_groups=num_groups,
            rounding=ROUNDING_SHARE * means.abs(),
            num_seeds=torch.tensor([len(each) for each in numbers]),
            of_seeds=_numbers(0.0 if r is None else r.var().item() / len(r) for r in recipes),
            of_cells=torch.zeros_like(means),
        )


class Tests(NamedTuple):
    """The tests of some results against others.

    Attributes:
        rows: `(A,)` int64, the results on one side, by their place.
        columns: `(B,)` int64, those on the other.
        p_values: `(A, B)` float64, two-sided; negative where the column is better. NaN for a pair
            that is not tested, or has its test elsewhere.
    """

    rows: Tensor
    columns: Tensor
    p_values: Tensor


def paired_tests(sides: Sides, least: float, most: float) -> Iterator[Tests]:
    """The test of every pair, once, in blocks; none where there are too few groups.

    Args:
        sides: the results.
        least: a p-value of this or less may be given as 0.
        most: one of more than this may be given as 1.
    """
    if sides.num_groups < FEWEST_GROUPS:
        return
    count = len(sides.spread)
    places = torch.arange(count)
    squares = torch.einsum("rm,rm->r", sides.spread, sides.spread)
    blocks = [slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            p_values = _p_values(sides, squares, rows, columns, least, most)
            if rows == columns:
                p_values[places[rows, None] >= places[columns]] = torch.nan
            yield Tests(places[rows], places[columns], p_values)


def _p_values(
    sides: Sides, squares: Tensor, rows: slice, columns: slice, least: float, most: float
) -> Tensor:
    """Signed p-values `(A, B)`; `squares` are sums of squares `(R,)` of the rows of `spread`."""
    first, second = sides.parts
    differences = first[rows, None] - first[columns]
    differences += second[rows, None] - second[columns]
    of_groups = _of_groups(sides, squares, rows, columns)
    variance, degrees = _with_seeds(sides, rows, columns, of_groups)
    size = differences.abs()
    z = size / variance.sqrt()  # infinite if it never varies
    z[size <= sides.rounding[rows, None]] = 0
    # Finding p takes longer than all else, so it is found only where z does not say enough.
    sure = -float(special.stdtrit(degrees.min().item(), least / 2)) * (1 + 1e-9)
    never = -float(special.ndtri(most / 2)) * (1 - 1e-9)  # Student's tails are heavier
    p_values: Tensor = (z <= sure).double()
    undecided = (z <= sure) & (z >= never)
    found = special.stdtr(degrees.expand_as(z)[undecided].numpy(), -z[undecided].numpy())
    p_values[undecided] = 2 * torch.from_numpy(found)
    p_values.copysign_(differences)
    return p_values


def _of_groups(sides: Sides, squares: Tensor, rows: slice, columns: slice) -> Tensor:
    """Squared standard errors `(A, B)` over groups."""
    a, b = sides.spread[rows], sides.spread[columns]
    both = squares[rows, None] + squares[columns]
    sums = torch.addmm(both, a, b.T, alpha=-2)
    close = (sums < _CLOSE * both).nonzero()
    at_once = max(1, _AT_ONCE // a.shape[1])
    for start in range(0, len(close), at_once):
        i, j = close[start : start + at_once].T
        sums[i, j] = (a[i] - b[j]).square_().sum(1)
    return sums.mul_(sides.scale / (a.shape[1] - 1))


def _with_seeds(
    sides: Sides, rows: slice, columns: slice, of_groups: Tensor
) -> tuple[Tensor, Tensor]:
    """Squared standard errors `(A, B)`, of recipes over seeds too, and degrees of freedom.

    See `recipes_difference`.
    """
    degrees = torch.tensor(sides.num_groups - 1, dtype=torch.float64)
    enough = sides.num_seeds >= FEWEST_SEEDS
    recipes = enough[rows, None] & enough[columns]
    if not bool(recipes.any()):
        return of_groups, degrees
    of_seeds = sides.of_seeds[rows, None] + sides.of_seeds[columns]
    of_cells = sides.of_cells[rows, None] + sides.of_cells[columns]
    variance = (of_groups + of_seeds - of_cells).maximum(of_groups).maximum(of_seeds)
    scattered = sides.of_seeds.square() / (sides.num_seeds - 1).clamp_min(1)
    scatter = of_groups.square() / degrees + scattered[rows, None] + scattered[columns]
    effective = torch.where(scatter > 0, variance.square() / scatter, degrees)
    return torch.where(recipes, variance, of_groups), torch.where(recipes, effective, degrees)


def _numbers(values: Iterable[float]) -> Tensor:
    return torch.tensor([*values], dtype=torch.float64)
