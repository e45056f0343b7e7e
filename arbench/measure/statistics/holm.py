"""Holm's correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence


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
