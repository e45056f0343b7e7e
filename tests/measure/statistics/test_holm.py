"""Holm's correction rejects what it should, and errs as seldom as it says."""

from __future__ import annotations

import math

import torch

from arbench.measure.statistics.holm import holm_adjusted, holm_cutoff


def rejected(p_values: list[float]) -> list[bool]:
    """Which of these p-values are rejected at 5 %."""
    found = torch.tensor(p_values, dtype=torch.float64)
    return (found <= holm_cutoff([found], 0.05)).tolist()


def test_holm_rejects_what_it_should() -> None:
    # By hand: sorted 0.005 <= 0.05/4, 0.01 <= 0.05/3, 0.03 > 0.05/2, and then nothing more.
    assert rejected([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert rejected([]) == []
    assert rejected([0.05]) == [True]
    assert rejected([math.nan, 0.05]) == [False, True]  # one test, not two


def test_an_adjusted_p_value_is_the_lowest_level_that_rejects() -> None:
    generator = torch.Generator().manual_seed(1)
    p_values = (torch.rand(12, generator=generator, dtype=torch.float64) ** 4).tolist()
    adjusted = holm_adjusted([*p_values, None])
    assert adjusted.pop() is None
    found = torch.tensor(p_values, dtype=torch.float64)
    for p, level in zip(p_values, adjusted, strict=True):
        assert level is not None
        if level < 1:
            assert p <= holm_cutoff([found], level * (1 + 1e-9))
        assert p > holm_cutoff([found], level * (1 - 1e-9))


def test_a_rejection_makes_room_for_the_next() -> None:
    """Taken in order one by one, as Holm has it, the same come out as taken bound by bound."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        p_values = torch.rand(40, generator=generator, dtype=torch.float64) ** 6
        one_by_one = [False] * 40
        for left, place in zip(range(40, 0, -1), p_values.argsort().tolist(), strict=True):
            if p_values[place] > 0.05 / left:
                break
            one_by_one[place] = True
        assert rejected(p_values.tolist()) == one_by_one


def test_holm_keeps_its_promise() -> None:
    """Of 5 true hypotheses, one is rejected in at most 5 % of cases."""
    uniform = torch.rand(4000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wrong = sum(any(rejected(row)) for row in uniform.tolist())
    assert wrong / 4000 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)
