"""Lengths and learning rates."""

from __future__ import annotations

import math

import pytest

from arbench.errors import ConfigError
from arbench.runs.request import parse_seconds
from arbench.training.pace import learning_rate_factor


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_decaying_schedules_end_at_zero_and_never_rise_after_the_warmup(schedule: str) -> None:
    rates = [learning_rate_factor(i / 100, schedule, 0.2) for i in range(101)]
    assert max(rates) == rates[20] == 1.0
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_schedules_are_the_curves_of_their_names(warmup: float) -> None:
    """Over what is left of the training after the warm-up."""
    curves = {
        "constant": lambda rest: 1.0,
        "linear": lambda rest: 1 - rest,
        "cosine": lambda rest: (1 + math.cos(math.pi * rest)) / 2,
    }
    for schedule, curve in curves.items():
        for rest in (0, 0.25, 0.5, 0.75, 1):
            found = learning_rate_factor(warmup + rest * (1 - warmup), schedule, warmup)
            assert found == pytest.approx(curve(rest), abs=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_warmup_is_a_straight_line_from_near_zero_to_the_peak(schedule: str) -> None:
    found = [learning_rate_factor(share * 0.2, schedule, 0.2) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert found == pytest.approx([1e-3, 0.25, 0.5, 0.75, 1], abs=1e-12)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), ("60.0", 60)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "0s", "-5m", "5 days", "nan", "inf"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 90s"):
        parse_seconds(text)
