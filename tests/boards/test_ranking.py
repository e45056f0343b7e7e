"""Ranks: which results are better than which, beyond what the choice of test events explains."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from making import MakeResult, noise

from arbench.boards.ranking import standings
from arbench.runs.record.record import Record


def ranks_of(results: Sequence[Sequence[tuple[Record, Path]]]) -> list[int]:
    return [standing.rank for standing in standings(results)]


def test_rank_counts_only_what_is_significantly_better(make_result: MakeResult) -> None:
    events = noise(0) * 10  # how hard each event is: shared, so that pairing removes it
    best, twin, worse = (
        make_result("best", events),
        make_result("twin", events - 0.001 + 0.1 * noise(1)),
        make_result("worse", events - 0.2 + 0.1 * noise(2)),
    )
    placed = ranks_of([[(r.record, r.log_probs)] for r in (worse, best, twin)])
    assert placed == [3, 1, 1]
    unpaired = 0.2 / (10 * math.sqrt(2 / 400))
    assert unpaired < 0.5  # without pairing nobody could tell these apart


def test_significant_is_what_luck_brings_about_less_than_once_in_twenty(
    make_result: MakeResult,
) -> None:
    """Of two results, at exactly 1.9, 2.0 and 3.0 standard errors: p is 0.057, 0.046, 0.003."""
    events, spread = noise(0) * 10, noise(1)
    spread = (spread - spread.mean()) / spread.std() * math.sqrt(400)
    for z, expected in ((1.9, [1, 1]), (2.0, [1, 2]), (3.0, [1, 2])):
        good = make_result("good", events)
        bad = make_result("bad", events - z - spread)
        assert ranks_of([[(r.record, r.log_probs)] for r in (good, bad)]) == expected


def test_among_several_results_a_single_pair_has_to_differ_more(make_result: MakeResult) -> None:
    """At 2.3 standard errors p is 0.021: enough for one pair, too much for one of three."""
    events = noise(0) * 10
    spread = (noise(1) - noise(1).mean()) / noise(1).std() * math.sqrt(400)
    good, bad = make_result("good", events), make_result("bad", events - 2.3 - spread)
    apart = make_result("apart", events - 1 + 40 * (noise(2) - noise(2).mean()))
    assert ranks_of([[(r.record, r.log_probs)] for r in (good, bad)]) == [1, 2]
    assert ranks_of([[(r.record, r.log_probs)] for r in (good, bad, apart)]) == [1, 1, 1]


def test_results_share_a_letter_if_and_only_if_no_test_tells_them_apart(
    make_result: MakeResult,
) -> None:
    """2.0 and 1.8 standard errors apart, the outer two 4.5: p is 0.046, 0.08 and 1e-5."""
    events = noise(0) * 10
    near, far = ((n - n.mean()) / n.std() * math.sqrt(400) for n in (noise(1), noise(2)))
    results = [
        make_result("far", events - 4.5 - far),
        make_result("near", events - 2.0 - near),
        make_result("best", events),
    ]
    placed = standings([[(r.record, r.log_probs)] for r in results])
    assert placed == [(2, "b"), (1, "a b"), (1, "a")]


def test_too_few_events_make_no_difference(make_result: MakeResult) -> None:
    good, bad = make_result("good", noise(0, 9)), make_result("bad", noise(0, 9) - 5)
    assert ranks_of([[(r.record, r.log_probs)] for r in (bad, good)]) == [1, 1]


@pytest.mark.slow
def test_the_time_of_ranks_is_that_of_a_product_of_matrices(make_result: MakeResult) -> None:
    """1,000 results of 10,000 events: a Python loop over the 499,500 pairs takes over 17 s."""
    hard = 20 * noise(0, 10_000) - 80
    results = [
        make_result(f"r{n}", hard - 0.005 * n + noise(n + 1, 10_000), dims=784) for n in range(1000)
    ]
    start = time.process_time()
    placed = ranks_of([[(r.record, r.log_probs)] for r in results])
    assert time.process_time() - start < 4  # 2 s, on a machine that does nothing else
    assert placed[0] == 1
    assert 400 < placed[500] <= 501
