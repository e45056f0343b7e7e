"""Progress: a bar with an ETA on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from arbench.cli import console as module
from arbench.cli.console import ConsoleReporter


def test_a_terminal_sees_percentage_eta_and_note() -> None:
    out = io.StringIO()
    reporter = ConsoleReporter(Console(file=out, force_terminal=True, width=140))
    with reporter.bar("training") as advance:
        advance(0.5, "best 1.23")
    text = out.getvalue()
    assert "training" in text
    assert " 50%" in text
    assert "eta" in text
    assert "best 1.23" in text


def test_a_log_sees_a_line_a_minute_and_one_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    out = io.StringIO()
    reporter = ConsoleReporter(Console(file=out, width=140))
    with reporter.bar("training") as advance:
        for step in range(200):
            now = float(step)
            advance(step / 200, f"step {step}")
    assert out.getvalue().splitlines() == [
        "training: 30%, step 61",
        "training: 61%, step 122",
        "training: 92%, step 183",
        "training: done, step 199",
    ]
