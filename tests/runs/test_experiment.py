"""Runs: what is left on disk is what was measured, and the same request gives the same bytes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from forging import forge
from PIL import Image
from torch import Tensor

import arbench
from arbench.data.tasks import open_task
from arbench.errors import CheckpointError, ConfigError, DataError, Diverged
from arbench.files.tensors import load_tensors
from arbench.measure import asking
from arbench.measure.statistics.metrics import NLL
from arbench.runs.experiment import Run
from arbench.runs.record.record import Record
from arbench.training.batches import Batch, TrainingBatches
from arbench.training.trainer import Trainer

SETTINGS = {"hidden": [8], "training.evaluations": 4, "ema_decay": 0.9, "dropout": 0.1}
SETTINGS |= {"alternative": "dropout", "batch_size": 100, "warmup": 0.0}


def _run(folder: Path, **changes: Any) -> Run:
    options = {"settings": SETTINGS, "epochs": 2, "limit": 600, "device": "cpu", "out": folder}
    return arbench.run("toy-ising", "made", **{**options, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short run that the tests of this file only read."""
    return _run(tmp_path_factory.mktemp("runs") / "a")


def test_the_record_equals_an_independent_computation_from_the_files(finished: Run) -> None:
    model = arbench.load(finished.path)
    test = open_task("toy-ising").load("test").first(600)
    with torch.no_grad():
        log_probs = torch.cat([model.log_prob(e[None]) for e in test.events])
    stored = load_tensors(finished.path / "per_event.safetensors")["likelihood:log_prob"]
    assert torch.allclose(stored, log_probs, atol=1e-4)
    nll = finished.record.splits["test"]
    assert nll.total_nats == pytest.approx(-stored.sum().item(), rel=1e-12)
    assert nll.num_dims == 600 * 64
    assert nll.bits_per_dim == pytest.approx(nll.total_nats / math.log(2) / nll.num_dims, rel=1e-12)
    assert nll.standard_error_nats == pytest.approx(stored.std().item() / math.sqrt(600), rel=1e-9)
    assert nll.kind == "exact"


def test_training_sees_train_and_choices_are_made_on_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each split's number is of its own events, and no other row than those of train is a batch."""
    task, seen = open_task("toy-ising"), []
    take = TrainingBatches.batch

    def note(batches: TrainingBatches, step: int) -> Batch:
        seen.append(take(batches, step))
        return seen[-1]

    monkeypatch.setattr(TrainingBatches, "batch", note)
    run = _run(tmp_path / "a", epochs=1)
    rows = torch.cat([batch.events for batch in seen]).flatten(1)
    train = task.load("train").first(600).events.flatten(1)
    assert sorted(rows.tolist()) == sorted(train.tolist())
    model, nats = arbench.load(run.path), {}
    for name in ("validation", "test"):
        with torch.no_grad():
            nats[name] = -model.log_prob(task.load(name).first(600).events).mean().item()
        assert run.record.splits[name].nats_per_event == pytest.approx(nats[name], rel=1e-6)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").open()]
    best = min(line["validation_nats_per_event"] for line in lines)
    assert best == pytest.approx(nats["validation"], rel=1e-6)
    assert abs(nats["validation"] - nats["test"]) > 1e-3  # the one is not taken for the other


def test_the_folder_holds_what_the_design_lists(finished: Run) -> None:
    assert sorted(f.name for f in finished.path.iterdir() if f.name != ".lock") == [
        "README.md",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "per_event.safetensors",
        "record.json",
        "samples.png",
    ]
    assert Record.read(finished.path / "record.json") == finished.record
    assert Image.open(finished.path / "samples.png").width >= 64


def test_the_gap_to_the_truth_is_paired(finished: Run) -> None:
    task = open_task("toy-ising")
    truth = finished.record.truth
    assert truth is not None
    true = task.true_log_prob(task.load("test").events[:600])
    own = load_tensors(finished.path / "per_event.safetensors")["likelihood:log_prob"]
    assert truth.gap_nats_per_event == pytest.approx((true - own).mean().item(), rel=1e-9)
    assert truth.gap_nats_per_event > 0


def test_metrics_have_one_line_per_evaluation_and_the_best_is_kept(finished: Run) -> None:
    lines = [json.loads(line) for line in (finished.path / "metrics.jsonl").open()]
    assert [line["step"] for line in lines] == [3, 6, 9, 12]
    best = min(lines, key=lambda line: line["validation_nats_per_event"])
    assert finished.record.training.best_step == best["step"]
    assert finished.record.splits["validation"].nats_per_event == pytest.approx(
        best["validation_nats_per_event"], rel=1e-9
    )


def test_the_same_request_gives_the_same_weights_and_another_seed_others(
    finished: Run, tmp_path: Path
) -> None:
    again, other = _run(tmp_path / "b"), _run(tmp_path / "c", seed=1)
    assert again.record.sha256.weights == finished.record.sha256.weights
    assert other.record.sha256.weights != finished.record.sha256.weights
    difference = arbench.compare(finished.path, again.path)
    assert (difference.nats, difference.z) == (0.0, 0.0)
    assert arbench.compare(finished.path, other.path).num_events == 600


def test_evaluate_recomputes_the_number(finished: Run) -> None:
    again = arbench.evaluate(finished.path, limit=600, device="cpu")
    assert again == finished.record.splits["test"]


def test_another_task_needs_foreign(finished: Run) -> None:
    with pytest.raises(ConfigError, match="--foreign"):
        arbench.evaluate(finished.path, task="toy-markov")
    with pytest.raises(ConfigError, match="describes"):
        arbench.evaluate(finished.path, task="toy-markov", foreign=True)


def test_runs_on_other_events_cannot_be_compared(finished: Run, tmp_path: Path) -> None:
    fewer = _run(tmp_path / "b", limit=500)
    with pytest.raises(DataError, match="38,400 dims and .* on 32,000 .*: --limit"):
        arbench.compare(finished.path, fewer.path)
    other = arbench.run("toy-markov", "bernoulli", limit=600, device="cpu", out=tmp_path / "c")
    with pytest.raises(DataError, match="only runs on the same events"):
        arbench.compare(finished.path, other.path)


def test_a_folder_in_use_or_full_is_refused(finished: Run) -> None:
    with pytest.raises(ConfigError, match="arbench resume"):
        _run(finished.path)


def test_a_finished_run_resumes_to_itself(finished: Run) -> None:
    assert arbench.resume(finished.path).record == finished.record


def test_a_budget_ends_on_time_with_a_small_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    real = Trainer._step

    def spy(trainer: Any, fraction: float) -> None:
        real(trainer, fraction)
        rates.append(trainer.rate)

    monkeypatch.setattr(Trainer, "_step", spy)
    run = _run(tmp_path / "a", epochs=None, budget="3s")
    assert 3.0 <= run.record.training.seconds < 6.0
    assert max(rates) == pytest.approx(run.record.training.settings["training"]["learning_rate"])
    assert rates[-1] < 0.2 * max(rates)


def test_a_model_better_than_the_truth_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = asking.evaluate_log_probs

    def quarter(*arguments: Any, **options: Any) -> Tensor:
        return real(*arguments, **options) / 4

    monkeypatch.setattr(asking, "evaluate_log_probs", quarter)
    with pytest.raises(Diverged, match="better than the true density.*impossible"):
        _run(tmp_path / "a")
    record = Record.read(tmp_path / "a" / "record.json")
    assert record.splits == {}
    assert record.training.status == "diverged"


def test_a_flipped_byte_in_the_weights_is_noticed_on_loading(tmp_path: Path) -> None:
    run = _run(tmp_path / "a")
    path = run.path / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="sha256"):
        arbench.load(run.path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hyperparameters", {"hidden": [10**9]}, "may exceed"),
        ("hyperparameters", {"hidden": [10**6]}, "asks for more weights than there are in its"),
        ("hyperparameters", {"hidden": [9]}, "the configuration needs F32"),
        ("hyperparameters", {"import_os": 1}, "no setting called 'import_os'"),
        ("model", "os.system:x", "model"),
        ("model", "../made", "model"),
        ("schema_version", 99, "newer than this arbench reads"),
        ("surprise", 1, "no setting called 'surprise'"),
    ],
)
def test_a_hostile_configuration_is_refused_before_anything_is_allocated(
    finished: Run, tmp_path: Path, key: str, value: object, message: str
) -> None:
    for file in finished.path.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config[key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    forge(tmp_path)
    with pytest.raises((CheckpointError, ConfigError), match=message):
        arbench.load(tmp_path)


def test_a_finished_nll_never_holds_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="event 1"):
        NLL.from_log_probs(torch.tensor([-1.0, float("-inf")]), 2)
