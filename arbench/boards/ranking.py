"""Ranks: which results are significantly better on the same test events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from arbench.measure.per_event import LogProbs
from arbench.measure.statistics.holm import holm
from arbench.runs.comparison import difference_of
from arbench.runs.record.record import Record

LEVEL = 0.05


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
    tested = []
    for a, b in combinations(range(len(results)), 2):
        difference = difference_of(measured[a], measured[b])
        if difference is not None and difference.has_enough_groups:
            tested.append((a, b, difference))
    significant = holm([difference.p_value for _, _, difference in tested], LEVEL)
    ranks = [1] * len(results)
    for (a, b, difference), rejected in zip(tested, significant, strict=True):
        if rejected:
            ranks[b if difference.nats > 0 else a] += 1
    return ranks
