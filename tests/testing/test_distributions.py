"""The test that samples follow `log_prob`: what it must catch, and how rarely it may cry wolf."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec
from arbench.testing.distributions import check_samples_follow, chi_square
from arbench.testing.subject import ConformanceError
from arbench.testing.tiny import TinyEvents

SPEC = EventSpec((2,), Discrete(2))
EVENTS = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])


def table(*masses: float) -> Any:
    """A density of two bits with these probabilities of 00, 01, 10 and 11."""
    log_probs = torch.tensor(masses, dtype=torch.float64).log()

    def log_prob(events: Tensor, scored: Tensor | None = None) -> Tensor:
        return log_probs[2 * events[:, 0] + events[:, 1]]

    return SimpleNamespace(spec=SPEC, log_prob=log_prob)


def samples(*counts: int) -> Tensor:
    """So many samples of each of the four events."""
    return EVENTS.repeat_interleave(torch.tensor(counts), 0)


def test_a_single_impossible_sample_is_refused() -> None:
    density = table(0.5, 0.3, 0.2, 0.0)
    with pytest.raises(ConformanceError, match=r"1 of 5000 samples are \[1, 1\].* expects 0.0"):
        check_samples_follow(density, samples(2500, 1499, 1000, 1), TinyEvents(SPEC))
    check_samples_follow(density, samples(2500, 1500, 1000, 0), TinyEvents(SPEC))


def test_samples_whose_probability_is_no_number_are_refused() -> None:
    found, expected = torch.tensor([500, 300, 200]), torch.tensor([500.0, 300.0, math.nan])
    assert chi_square(found, expected.double()) == (0.0, 2)


def test_rare_events_drawn_far_too_often_are_refused() -> None:
    """Half a sample is expected; twenty of them are nothing beside a common cell's own spread."""
    density = table(0.5, 0.3, 0.1999, 0.0001)
    with pytest.raises(ConformanceError, match="rare events are drawn more or less often"):
        check_samples_follow(density, samples(2500, 1500, 980, 20), TinyEvents(SPEC))
    check_samples_follow(density, samples(2500, 1500, 999, 1), TinyEvents(SPEC))


def test_without_rare_cells_it_is_pearsons_test() -> None:
    found, expected = torch.tensor([520, 290, 190]), torch.tensor([500.0, 300.0, 200.0]).double()
    p_value, worst = chi_square(found, expected)
    assert p_value == pytest.approx(stats.chisquare(found, expected).pvalue, rel=1e-12)
    assert worst == 0  # 400 / 500 against 100 / 300 and 100 / 200


def test_right_samplers_are_rarely_refused() -> None:
    """p-values of right samples fall below 1 % in about 1 % of 2,000 cases, with a pool or not."""
    generator = torch.Generator().manual_seed(0)
    for masses in ([0.4, 0.3, 0.2, 0.1], [0.6, 0.39, 0.006, 0.004]):
        weights = torch.tensor(masses, dtype=torch.float64)
        drawn = torch.multinomial(weights, 2000 * 1000, replacement=True, generator=generator)
        below = 0
        for numbers in drawn.view(2000, 1000):
            p_value, _ = chi_square(torch.bincount(numbers, minlength=4), weights * 1000)
            below += p_value < 0.01
        assert below / 2000 < 0.01 + 4 * math.sqrt(0.01 * 0.99 / 2000)
