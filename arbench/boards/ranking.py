"""Ranks: which results are significantly better on the same test events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TypeVar

from arbench.errors import DataError
from arbench.measure.measurement import Measurement
from arbench.measure.statistics.holm import holm
from arbench.measure.statistics.paired import PairedDifference
from arbench.measure.statistics.resampling import Memory
from arbench.runs.comparison import difference_of
from arbench.runs.record.record import Record
from arbench.runs.record.values import LogProbs
from arbench.runs.results.comparison import Answer, difference_of_answers, misfit

LEVEL = 0.05
T = TypeVar("T")


def ranks(results: Sequence[Sequence[tuple[Record, Path]]]) -> list[int]:
    """1 plus the number of results that are significantly better, for each.

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
    return _placed(measured, difference_of)


def measured_ranks(measurement: Measurement, results: Sequence[Sequence[Answer]]) -> list[int]:
    """1 plus the number of results that are significantly better by a measurement, for each.

    As `ranks`, of the measurement's number. Pairs that cannot be compared, see `misfit`, and pairs
    whose number is not finite for some weights, count as no difference.

    Args:
        measurement: whose results they are.
        results: of one key: the seeds of each.
    """
    memory: Memory = {}

    def differ(a: Sequence[Answer], b: Sequence[Answer]) -> PairedDifference | None:
        if any(misfit(a[0], other) for other in (*a[1:], *b)):
            return None
        try:
            return difference_of_answers(measurement, a, b, memory)
        except (ValueError, DataError):
            return None

    return _placed(results, differ)


def _placed(results: Sequence[T], differ: Callable[[T, T], PairedDifference | None]) -> list[int]:
    """The rank of each result, given the paired difference of any two; positive if a is better."""
    tested = []
    for a, b in combinations(range(len(results)), 2):
        difference = differ(results[a], results[b])
        if difference is not None and difference.has_enough_groups:
            tested.append((a, b, difference))
    significant = holm([difference.p_value for _, _, difference in tested], LEVEL)
    placed = [1] * len(results)
    for (a, b, difference), rejected in zip(tested, significant, strict=True):
        if rejected:
            placed[b if difference.nats > 0 else a] += 1
    return placed
