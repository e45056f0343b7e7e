"""Ranking: which results are better than which, beyond what the choice of test events explains."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from arbench.experiment.records import EvaluationRecord, Record
from arbench.experiment.streams import overlapping_windows
from arbench.experiment.weights import load_tensors
from arbench.probability.metrics import PairedDifference, paired_difference

LEVEL = 0.05
FEWEST_BLOCKS = 30  # with fewer, the normal approximation of the test promises too much


def ranks(results: Sequence[tuple[Record, Path]]) -> list[int]:
    """1 plus the number of results that are significantly better, for each.

    All pairs are tested on the test events that they share, and the p-values are corrected for
    their number, so that with probability 95 % no rank rests on luck. Pairs that cannot be tested
    count as no difference.

    Args:
        results: records on the same data and of the same kind, each with the file of its per-event
            log-probabilities.
    """
    log_probs = [load_tensors(path)["test"] for _, path in results]
    tested = []
    for a, b in combinations(range(len(results)), 2):
        difference = difference_of(results[a][0], log_probs[a], results[b][0], log_probs[b])
        if difference is not None:
            tested.append((a, b, difference))
    significant = holm([difference.p_value for _, _, difference in tested], LEVEL)
    ranks = [1] * len(results)
    for (a, b, difference), rejected in zip(tested, significant, strict=True):
        if rejected:
            ranks[b if difference.nats > 0 else a] += 1
    return ranks


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses are rejected, such that with probability 1 - level no true one is.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    rejected = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for left, i in zip(range(len(p_values), 0, -1), order, strict=True):
        if p_values[i] > level / left:
            break
        rejected[i] = True
    return rejected


def difference_of(
    record_a: Record, log_probs_a: Tensor, record_b: Record, log_probs_b: Tensor
) -> PairedDifference | None:
    """The paired difference of two results, positive if a is better; None with too few events.

    Of a stream the events are windows, whose scored symbols follow one another without a gap. Where
    two results were evaluated on other windows, they are compared on the smallest stretches of the
    stream that both cover with whole windows.

    Args:
        record_a: one result.
        log_probs_a: its `(N,)` nats of test events.
        record_b: another on the same data.
        log_probs_b: its `(M,)` nats.
    """
    if record_a.evaluation != record_b.evaluation:
        ends_a, ends_b = _window_ends(record_a), _window_ends(record_b)
        shared = ends_a[torch.isin(ends_a, ends_b)]
        log_probs_a = _block_sums(log_probs_a, ends_a, shared)
        log_probs_b = _block_sums(log_probs_b, ends_b, shared)
    if len(log_probs_a) < FEWEST_BLOCKS:
        return None
    return paired_difference(log_probs_a, log_probs_b)


def _window_ends(record: Record) -> Tensor:
    """How many symbols of the stream are scored up to each window's end, `(M,)` int64."""
    windows = record.evaluation or EvaluationRecord(context=1, stride=1)
    stream = torch.zeros(record.nll["test"].num_dims, dtype=torch.uint8)
    return overlapping_windows(stream, windows.context, windows.stride).scored_dims.cumsum(0)


def _block_sums(values: Tensor, ends: Tensor, shared: Tensor) -> Tensor:
    """Sums of consecutive values `(M,)` up to each shared end, `(S,)` float64."""
    totals = values.double().cumsum(0)[torch.searchsorted(ends, shared)]
    return totals.diff(prepend=totals.new_zeros(1))
