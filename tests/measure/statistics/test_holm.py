"""Holm's correction rejects what it should, and errs as seldom as it says."""

from __future__ import annotations

import math

import torch

from arbench.measure.statistics.holm import holm


def test_holm_rejects_what_it_should() -> None:
    # By hand: sorted 0.005 <= 0.05/4, 0.01 <= 0.05/3, 0.03 > 0.05/2, and then nothing more.
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]
    assert holm([], 0.05) == []
    assert holm([0.05], 0.05) == [True]


def test_holm_keeps_its_promise() -> None:
    """Of 5 true hypotheses, one is rejected in at most 5 % of cases."""
    uniform = torch.rand(4000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wrong = sum(any(holm(row, 0.05)) for row in uniform.tolist())
    assert wrong / 4000 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)
