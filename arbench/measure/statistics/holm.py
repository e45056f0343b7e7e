"""Holm's correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def holm_cutoff(p_values: Sequence[Tensor], level: float) -> float:
    """Up to which p-value hypotheses are rejected, such that with 1 - level no true one is.

    Holm takes the p-values in order and stops at the first above `level / left`, where `left`
    counts it and those behind it. All that a bound rejects raise the next bound, so that many are
    taken at once and nothing has to be sorted.

    Args:
        p_values: in tensors of any shape, of any sign; NaN where there is no test.
        level: how often any true hypothesis may be rejected.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    num_tests = sum(int(each.isfinite().sum()) for each in p_values)
    rejected, cutoff = 0, level
    while rejected < num_tests:
        cutoff = level / (num_tests - rejected)
        below = sum(int((each.abs() <= cutoff).sum()) for each in p_values)
        if below == rejected:
            break
        rejected = below
    return cutoff


def holm_adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p-value as it is after Holm's correction: the lowest level that rejects it.

    Args:
        p_values: of many tests; None where there is none, which counts for nothing.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    tests = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for number, (p, place) in enumerate(tests):
        highest = max(highest, min(1.0, (len(tests) - number) * p))
        adjusted[place] = highest
    return adjusted
