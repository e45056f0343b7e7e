"""`--compile` compiles where it pays, says so, and is chosen once per training."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from making import untimed
from torch import Tensor

import arbench
from arbench.measure import speed
from arbench.runs.record.record import TrainingRecord
from arbench.show.reporting import Reporter
from arbench.training import trainer
from arbench.training.checkpoints import Progress
from arbench.training.compilation import compile_if_faster

Fast = trainer.Objective


class Slow(trainer.Objective):
    """The loss as it is, a tenth of a second slower."""

    def forward(self, *batch: Any) -> Tensor:
        time.sleep(0.1)
        return super().forward(*batch)


class Spoken(Reporter):
    """What a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def run(out: Path, *, compiled: bool) -> tuple[TrainingRecord, bytes, list[str]]:
    """Three steps of a small network: what is recorded of them, the weights and what was said."""
    reporter = Spoken()
    made = arbench.run(
        "toy-markov",
        "rnn",
        settings={"hidden": 4, "batch_size": 8, "dropout": 0.5},
        epochs=1,
        limit=20,
        device="cpu",
        compile=compiled,
        out=out,
        evaluate_test=False,
        reporter=reporter,
    )
    assert made.record.training is not None
    weights = (made.path / "model.safetensors").read_bytes()
    return (
        made.record.training,
        weights,
        [line for line in reporter.lines if line.startswith("compile ")],
    )


def test_a_loss_is_compiled_where_that_is_faster_and_the_weights_are_those_of_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "measure_sampling", untimed)
    training, weights, lines = run(tmp_path / "plain", compiled=False)
    assert (training.compiled, training.trial_s, lines) == (False, {}, [])
    # Compiling that makes a step slower, then one that makes it faster: both compute the same.
    monkeypatch.setattr(torch, "compile", lambda objective: Slow(list(objective)))
    training, own, (line,) = run(tmp_path / "slower", compiled=True)
    assert not training.compiled
    assert training.trial_s["compiled"] > training.trial_s["plain"]
    assert line.endswith("as it is: not compiled")
    assert own == weights
    monkeypatch.setattr(torch, "compile", lambda objective: Fast(list(objective)))
    monkeypatch.setattr(trainer, "Objective", Slow)
    training, own, (line,) = run(tmp_path / "faster", compiled=True)
    assert training.compiled
    assert training.trial_s["plain"] > training.trial_s["compiled"]
    assert line.endswith("as it is: compiled")
    assert own == weights


@pytest.mark.parametrize(
    ("trial_s", "expected"),
    [
        ({}, "new"),
        ({"compiled": 1.0, "plain": 2.0}, "new"),
        ({"compiled": 2.0, "plain": 1.0}, "old"),
    ],
)
def test_a_training_that_is_resumed_goes_on_as_it_began(
    trial_s: dict[Literal["compiled", "plain"], float],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An older checkpoint knows no trial. What is resumed has no batch to try anything on."""
    monkeypatch.setattr(torch, "compile", lambda objective: "new")
    resumed: Any = SimpleNamespace(progress=Progress(step=3, trial_s=trial_s), objective="old")
    compile_if_faster(resumed)
    assert resumed.objective == expected


@pytest.mark.slow
def test_what_torch_compiles_is_tried_on_real_steps(tmp_path: Path) -> None:
    training, _, (line,) = run(tmp_path / "run", compiled=True)
    assert min(training.trial_s.values()) > 0
    fastest = min(training.trial_s, key=training.trial_s.__getitem__)
    assert training.compiled == (fastest == "compiled")
    assert line.startswith("compile a step takes ")
