"""Fitting: what a network that needs no gradient is handed, and what is said meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import arbench
from arbench.errors import ConfigError
from arbench.show.reporting import Advance, Reporter


class Bars(Reporter):
    """Keeps the fractions that each bar was told."""

    def __init__(self) -> None:
        self.told: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        fractions = self.told.setdefault(title, [])
        yield lambda fraction, note: fractions.append(fraction)


def test_progress_is_the_share_of_all_batches_of_all_epochs(tmp_path: Path) -> None:
    bars = Bars()
    options = {"settings": {"batch_size": 10}, "limit": 40, "device": "cpu", "out": tmp_path / "a"}
    run = arbench.run("toy-markov", "cpt", epochs=2, reporter=bars, **options)
    assert bars.told["fitting"] == [step / 8 for step in range(1, 9)]
    assert run.record.training is not None
    assert (run.record.training.steps, run.record.training.epochs) == (8, 2.0)


def test_counts_need_no_time_and_no_ensemble(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give --epochs, not --budget"):
        arbench.run("toy-markov", "cpt", budget="5s", device="cpu", out=tmp_path / "a")
