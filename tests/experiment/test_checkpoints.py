"""Checkpoints: at every moment, the one that counts is whole."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import arbench
from arbench.errors import CheckpointError, RunError
from arbench.experiment import files
from arbench.experiment.checkpoints import CheckpointStore, Progress
from arbench.experiment.training import Trainer


def _tensors(value: float) -> dict[str, torch.Tensor]:
    return {"network.w": torch.full((4,), value)}


def test_the_latest_save_is_what_loads_and_only_it_is_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    assert store.load() is None
    for step in (1, 2, 3):
        store.save(Progress(step=step, best_nats=0.1 * step), _tensors(step))
    loaded = store.load()
    assert loaded is not None
    progress, tensors = loaded
    assert progress == Progress(step=3, best_nats=0.1 * 3)
    assert torch.equal(tensors["network.w"], torch.full((4,), 3.0))
    assert sorted(f.name for f in store.folder.iterdir()) == ["state.json", "step-3.safetensors"]


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("occurrence", [1, 2, 3, 4])
def test_dying_anywhere_while_saving_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, occurrence: int, step: int
) -> None:
    """Whether the new one is of a later step or of the same."""
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1, evaluations=1), _tensors(1.0))
    real = getattr(os, call)
    calls = 0

    class Died(BaseException):
        pass

    def die(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == occurrence:
            raise Died
        return real(*arguments)

    monkeypatch.setattr(files.os, call, die)
    died = False
    try:
        store.save(Progress(step=step, evaluations=2), _tensors(2.0))
    except Died:
        died = True
    monkeypatch.undo()
    loaded = store.load()
    assert loaded is not None
    progress, tensors = loaded
    assert torch.equal(tensors["network.w"], torch.full((4,), float(progress.evaluations)))
    committed = not died or (call == "fsync" and occurrence == 4)
    assert progress.evaluations == (2 if committed else 1)


def test_of_many_saves_of_one_step_the_last_is_kept_alone(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    for number in range(4):
        store.save(Progress(step=5), _tensors(number))
    loaded = store.load()
    assert loaded is not None
    assert torch.equal(loaded[1]["network.w"], torch.full((4,), 3.0))
    assert len([*store.folder.iterdir()]) == 2


def test_a_full_disk_names_the_path_and_keeps_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1), _tensors(1.0))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match=r"step-2.*disk is full.*MB free.*--resume"):
        store.save(Progress(step=2), _tensors(2.0))
    monkeypatch.undo()
    loaded = store.load()
    assert loaded is not None
    assert loaded[0].step == 1
    assert not list(store.folder.glob(".*tmp*"))


def test_damage_is_noticed(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1), _tensors(1.0))
    file = store.folder / "step-1.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="sha256"):
        store.load()


def test_state_may_not_point_outside_its_folder(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1), _tensors(1.0))
    state = store.folder / "state.json"
    state.write_text(state.read_text().replace("step-1.safetensors", "../step-1.safetensors"))
    with pytest.raises(CheckpointError, match="outside its folder"):
        store.load()


def test_a_mutated_state_is_refused_or_a_state(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=12, best_nats=3.5), _tensors(1.0))
    state = store.folder / "state.json"
    good = state.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        bad = bytearray(good)
        for _ in range(random.integers(1, 4)):
            bad[random.integers(len(bad))] = random.integers(256)
        state.write_bytes(bytes(bad[: random.integers(1, 2 * len(bad))]))
        try:
            loaded = store.load()
        except CheckpointError:
            refused += 1
            continue
        assert loaded is not None
        assert all(n is None or math.isfinite(n) for n in vars(loaded[0]).values())
        assert loaded[0].step >= 0
    assert refused > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, this arbench reads 1; upgrade arbench"),
        ({"progress": {"step": -1}}, "greater than or equal to 0"),
        ({"progress": {"elapsed_s": float("nan")}}, "elapsed_s"),
        ({"progress": {"best_nats": float("inf")}}, "finite"),
        ({"progress": {"steps": 1}}, "unexpected keyword argument 'steps'"),
    ],
)
def test_a_state_that_no_training_has_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1), _tensors(1.0))
    state = store.folder / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        store.load()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that broke off at its seventh step."""

    class Stopped(Exception):
        pass

    real = Trainer._step

    def step(trainer: Trainer, fraction: float) -> None:
        if trainer.progress.step == 6:
            raise Stopped
        real(trainer, fraction)

    settings = {"hidden": [8], "batch_size": 10, "checkpoint_seconds": 0, "evaluations": 4}
    settings["ema_decay"] = 0.9
    out = tmp_path_factory.mktemp("begun") / "run"
    options = {"settings": settings, "epochs": 2, "limit": 60, "device": "cpu", "out": out}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", step)
        with pytest.raises(Stopped):
            arbench.run("toy-markov", "made", **options)  # type: ignore[arg-type]
    return out


def copy_of(run: Path, to: Path) -> tuple[Path, CheckpointStore, Progress, dict[str, torch.Tensor]]:
    """A run's folder to change, its store of checkpoints, and what that holds."""
    folder = Path(shutil.copytree(run, to / "run"))
    store = CheckpointStore(folder / "checkpoint")
    loaded = store.load()
    assert loaded is not None
    return folder, store, *loaded


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("network.layers.0.bias", torch.zeros(1), r"network.layers.0.bias is torch.float32 \[1\]"),
        ("best.layers.0.bias", torch.zeros(8).double(), "best.layers.0.bias is torch.float64"),
        ("average.layers.0.bias", torch.zeros(1), "average.layers.0.bias is"),
        ("average.layers.0.bias", None, "average.layers.0.bias is missing or unknown"),
        ("best.layers.0.bias", None, "best.layers.0.bias is missing or unknown"),
        ("surprise", torch.zeros(1), "surprise is missing or unknown"),
        ("optimizer.0.exp_avg", torch.zeros(1), "optimizer.0.exp_avg is"),
        ("optimizer.99.exp_avg", torch.zeros(1), "out of range"),
        ("optimizer.x.exp_avg", torch.zeros(1), "invalid literal"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    begun: Path, tmp_path: Path, name: str, tensor: torch.Tensor | None, message: str
) -> None:
    folder, store, progress, tensors = copy_of(begun, tmp_path)
    changed = {**tensors, name: tensor}
    store.save(progress, {key: value for key, value in changed.items() if value is not None})
    with pytest.raises(
        CheckpointError, match=f"does not belong to this configuration: .*{message}"
    ):
        arbench.resume(folder, device="cpu")


def test_a_training_goes_on_where_its_checkpoint_stands(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its steps, its metrics and its clock, here one that has run for 1000 s."""
    folder, store, progress, tensors = copy_of(begun, tmp_path)
    store.save(dataclasses.replace(progress, elapsed_s=1000.0), tensors)
    before = (folder / "metrics.jsonl").read_bytes()
    assert len(before) == progress.metrics_bytes
    taken: list[int] = []
    real = Trainer._step

    def step(trainer: Trainer, fraction: float) -> None:
        taken.append(trainer.progress.step)
        real(trainer, fraction)

    monkeypatch.setattr(Trainer, "_step", step)
    arbench.resume(folder, device="cpu")
    assert taken == [6, 7, 8, 9, 10, 11]
    after = (folder / "metrics.jsonl").read_bytes()
    assert after.startswith(before)
    lines = [json.loads(line) for line in after.splitlines()]
    assert [line["step"] for line in lines] == [3, 6, 9, 12]
    assert [line["seconds"] > 1000 for line in lines] == [False, False, True, True]


def test_a_resumed_run_clears_away_what_a_killed_one_was_writing(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "run"))
    checkpoint = folder / "checkpoint"
    left = [folder / ".model.safetensors.tmp-1", checkpoint / ".step-7.safetensors.tmp-23"]
    for path in left:
        path.write_bytes(b"half")
    there: list[bool] = []
    real = Trainer._step

    def step(trainer: Trainer, fraction: float) -> None:
        there.extend(path.exists() for path in left)
        real(trainer, fraction)

    monkeypatch.setattr(Trainer, "_step", step)
    assert arbench.resume(folder, device="cpu").record.status == "finished"
    assert there
    assert not any(there)
