"""Checking every model takes minutes, so that people do it."""

from __future__ import annotations

import time

import pytest

from arbench.testing.suites import all_suites

MOST_SECONDS = 300


@pytest.mark.slow
@pytest.mark.timeout(3 * MOST_SECONDS)
def test_all_models_are_checked_within_five_minutes_of_a_core() -> None:
    started = time.process_time()
    failed = [
        (suite.name, result.check, result.subject, result.message)
        for suite in all_suites()
        if suite.kind == "model"
        for result in (trial.run() for trial in suite.trials())
        if result.status == "failed"
    ]
    assert not failed
    assert time.process_time() - started < MOST_SECONDS
