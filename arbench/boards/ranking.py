"""Ranks and groups: which results are significantly better on the same test events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from arbench.errors import DataError
from arbench.measure.measurement import Measurement
from arbench.measure.statistics.holm import holm_cutoff
from arbench.measure.statistics.letters import letters_of
from arbench.measure.statistics.paired import PairedDifference
from arbench.measure.statistics.pairs import Sides, Tests, paired_tests
from arbench.runs.comparison import Measured, difference_of, events_of, extent_of, groups_of
from arbench.runs.record.record import Record
from arbench.runs.record.values import LogProbs
from arbench.runs.results.comparison import Answer, difference_of_answers, misfit, sides_of_answers

LEVEL = 0.05
T = TypeVar("T")


class Standing(NamedTuple):
    """Where a result stands among others.

    Attributes:
        rank: 1 plus the number of results that are significantly better.
        group: letters, such as "a b"; results share one where no test tells them apart.
    """

    rank: int
    group: str


def standings(results: Sequence[Sequence[tuple[Record, Path]]]) -> list[Standing]:
    """The rank and the group of each result.

    All pairs are tested on the test events that they share, and the p-values are corrected for
    their number, so that with probability 95 % no rank rests on luck. The tests are over
    independent groups of events and by Student's t: from 10 groups on (`FEWEST_GROUPS`); pairs with
    fewer, and pairs that share no events, count as no difference. Where the error of a stream still
    grows with its blocks, it is a lower bound, and the test promises more than it keeps.

    A result is one run, or all seeds of one recipe. Two of at least three seeds each are tested as
    recipes; any other pair as the weights that they are.

    Args:
        results: on the same data and of the same kind: the seeds of each, records with the file of
            their per-event log-probabilities.

    Raises:
        DataError: if a file holds no log-probabilities.
    """
    measured = [[(record, LogProbs.load(path)) for record, path in seeds] for seeds in results]

    def fits(a: Sequence[Measured], b: Sequence[Measured]) -> bool:
        return len({extent_of(record) for record, _ in [*a, *b]}) == 1

    tests: list[Tests] = []
    for places in _alike(measured, fits):
        own = [measured[place] for place in places]
        if own[0][0][0].windows is not None:
            tests += _one_by_one(measured, places, difference_of)
        else:
            sides = Sides.of_means([events_of(seeds) for seeds in own], groups_of(own))
            tests += _all_pairs(sides, places, len(results))
    return _placed(len(results), tests)


def measured_ranks(measurement: Measurement, results: Sequence[Sequence[Answer]]) -> list[int]:
    """1 plus the number of results that are significantly better by a measurement, for each.

    As `standings`, of the measurement's number. Pairs that cannot be compared, see `misfit`, and
    pairs whose number is not finite for some weights, count as no difference.

    Args:
        measurement: whose results they are.
        results: of one key: the seeds of each.
    """

    def fits(a: Sequence[Answer], b: Sequence[Answer]) -> bool:
        if any(misfit(a[0], other) for other in (*a[1:], *b)):
            return False
        names = {frozenset(each.values.values) for each in (*a, *b)}
        return measurement.is_mean or len(names) == 1

    def differ(a: Sequence[Answer], b: Sequence[Answer]) -> PairedDifference | None:
        try:
            return difference_of_answers(measurement, a, b)
        except (ValueError, DataError):
            return None

    tests: list[Tests] = []
    for places in _alike(results, fits):
        if results[places[0]][0].is_of_stream:
            tests += _one_by_one(results, places, differ)
        else:
            sides, kept = sides_of_answers(measurement, [results[place] for place in places])
            if sides is not None:
                tests += _all_pairs(sides, [places[place] for place in kept], len(results))
    return [standing.rank for standing in _placed(len(results), tests)]


def _alike(results: Sequence[T], fits: Callable[[T, T], bool]) -> list[list[int]]:
    """The places of results that can be compared with each other, without those that fit none."""
    classes: list[list[int]] = []
    for place, result in enumerate(results):
        if fits(result, result):  # all of its seeds
            own = next((own for own in classes if fits(results[own[0]], result)), None)
            if own is None:
                classes.append(own := [])
            own.append(place)
    return classes


def _all_pairs(sides: Sides, places: Sequence[int], num_results: int) -> Iterator[Tests]:
    """The tests of all sides, which are the results at these places."""
    where = torch.tensor(places)
    surely = LEVEL / max(1, math.comb(num_results, 2))  # rejected, whatever the others are
    for rows, columns, p_values in paired_tests(sides, surely, LEVEL):
        yield Tests(where[rows], where[columns], p_values)


def _one_by_one(
    results: Sequence[T], places: Sequence[int], differ: Callable[[T, T], PairedDifference | None]
) -> Iterator[Tests]:
    """The tests of windows of a stream, of which each pair has blocks of its own."""
    for a, b in combinations(places, 2):
        difference = differ(results[a], results[b])
        if difference is not None and difference.has_enough_groups:
            p_value = math.copysign(difference.p_value, difference.nats)
            p_values = torch.tensor([[p_value]], dtype=torch.float64)
            yield Tests(torch.tensor([a]), torch.tensor([b]), p_values)


def _placed(num_results: int, tests: Sequence[Tests]) -> list[Standing]:
    """The standing of each result."""
    cutoff = holm_cutoff([each.p_values for each in tests], LEVEL)
    placed = torch.ones(num_results, dtype=torch.int64)
    apart = torch.zeros(num_results, num_results, dtype=torch.bool)
    for rows, columns, p_values in tests:
        rejected, row_is_worse = p_values.abs() <= cutoff, p_values.signbit()
        placed[rows] += (rejected & row_is_worse).sum(1)
        placed[columns] += (rejected & ~row_is_worse).sum(0)
        apart[rows[:, None], columns] |= rejected
    order = placed.argsort(stable=True)  # so that the first letters are those of the best
    alike = ~(apart | apart.T)[order][:, order]
    groups = dict(zip(order.tolist(), letters_of(alike.numpy()), strict=True))
    return [Standing(rank, groups[place]) for place, rank in enumerate(placed.tolist())]
