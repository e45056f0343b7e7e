"""Checkpoints: at every moment, the one that counts is whole."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import arbench
from arbench.errors import CheckpointError, RunError
from arbench.files import atomic as files
from arbench.files.canonical import canonical_sha256
from arbench.show.reporting import Reporter
from arbench.training.checkpoints import CheckpointStore, Progress
from arbench.training.trainer import Trainer


def _tensors(value: float) -> dict[str, torch.Tensor]:
    return {"network.w": torch.full((4,), value)}


def test_the_latest_save_is_what_loads_and_only_it_is_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    assert store.load() is None
    for step in (1, 2, 3):
        store.save(Progress(step=step, best_nats=0.1 * step), _tensors(step))
    loaded = store.load()
    assert loaded is not None
    progress, tensors, cautions = loaded
    assert cautions == []
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
    progress, tensors, _ = loaded
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
    with pytest.raises(RunError, match=r"step-2.*disk is full.*MB free.*arbench resume"):
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


def _rewrite(store: CheckpointStore, change: dict[str, object]) -> None:
    """Change the state, as somebody would who binds it again; a value of None takes a key away."""
    file = store.folder / "state.json"
    state = json.loads(file.read_text()) | change
    del state["state_sha256"]
    for key in [key for key, value in change.items() if value is None]:
        del state[key]
    if state["format"] == 2:
        with contextlib.suppress(ValueError):  # NaN has no canonical form
            state["state_sha256"] = canonical_sha256(state)
    file.write_text(json.dumps(state))


def test_state_may_not_point_outside_its_folder(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1), _tensors(1.0))
    _rewrite(store, {"tensors": "../step-1.safetensors"})
    with pytest.raises(CheckpointError, match="outside its folder"):
        store.load()


def test_a_mutated_state_is_refused_or_the_same_state(tmp_path: Path) -> None:
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
        progress, _, cautions = loaded
        assert (progress, cautions) == (Progress(step=12, best_nats=3.5), [])
    assert refused > 1900  # some bytes are spaces


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "format 3, this arbench reads 2; upgrade arbench"),
        ({"format": 1}, "format 1 has no "),
        ({"progress": [1]}, "not a checkpoint"),
        ({"sha256": None}, "not a checkpoint: KeyError"),
        ({"environment": 3}, "not a checkpoint"),
        ({"progress": {"step": -1}}, "greater than or equal to 0"),
        ({"progress": {"elapsed_s": float("nan")}}, "JSON has no number NaN"),
        ({"progress": {"best_nats": float("inf")}}, "JSON has no number Infinity"),
        ({"progress": {"steps": 1}}, "unexpected keyword argument 'steps'"),
    ],
)
def test_a_state_that_no_training_has_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1), _tensors(1.0))
    _rewrite(store, change)
    with pytest.raises(CheckpointError, match=message):
        store.load()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", 11),
        ("elapsed_s", 1.0),
        ("evaluations", 2),
        ("best_nats", 3.0),
        ("best_nats", None),
        ("best_step", 1),
        ("loss_total", 0.5),
        ("loss_events", 10),
        ("metrics_bytes", 0),
    ],
)
def test_a_progress_that_was_edited_is_refused_by_name(
    tmp_path: Path, key: str, value: object
) -> None:
    (tmp_path / "metrics.jsonl").write_text("{}\n{}\n")
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=12, best_nats=3.5, metrics_bytes=6), _tensors(1.0))
    assert store.load() is not None
    file = store.folder / "state.json"
    state = json.loads(file.read_text())
    state["progress"][key] = value
    file.write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match=r"state\.json: does not fit the sha256"):
        store.load()


def test_a_state_belongs_to_its_configuration_and_metrics(tmp_path: Path) -> None:
    config, metrics = tmp_path / "config.json", tmp_path / "metrics.jsonl"
    config.write_text('{"seed": 0}')
    metrics.write_text('{"step": 1}\n{"step": 2}\n')
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1, metrics_bytes=12), _tensors(1.0))
    metrics.write_text('{"step": 1}\n{"ste')  # what came after it may be cut short
    assert store.load() is not None
    config.write_text('{"seed": 1}')
    with pytest.raises(CheckpointError, match=r"config\.json: is not the file that the checkpoint"):
        store.load()
    config.write_text('{"seed": 0}')
    for text, message in (('{"step": 2}\n', "is not the file that the"), ("{}", "has 2 bytes")):
        metrics.write_text(text)
        with pytest.raises(CheckpointError, match=rf"metrics\.jsonl: {message}"):
            store.load()


def test_no_memory_for_a_checkpoint_is_one_sentence_and_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1), _tensors(1.0))

    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("arbench.files.tensors.struct.pack", none_left)
    with pytest.raises(RunError, match=r"out of memory: the checkpoint could not .*arbench resume"):
        store.save(Progress(step=2), _tensors(2.0))
    monkeypatch.undo()
    loaded = store.load()
    assert loaded is not None
    assert loaded[0].step == 1
    assert not list(store.folder.glob(".*tmp*"))


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
    settings |= {"ema_decay": 0.9, "alternative": "dropout"}
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
    progress, tensors, _ = loaded
    return folder, store, progress, tensors


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
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "ep')  # it was killed while it wrote
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


class Told(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_checkpoint_of_format_1_is_resumed_to_equal_bytes_and_said_to_be_unbound(
    begun: Path, tmp_path: Path
) -> None:
    digests = []
    for number in (1, 2):
        folder, store, *_ = copy_of(begun, tmp_path / str(number))
        if number == 1:
            keys = ("config_sha256", "metrics_sha256", "environment")
            _rewrite(store, {**dict.fromkeys(keys), "format": 1})
        told = Told()
        arbench.resume(folder, device="cpu", reporter=told)
        assert any("did not bind it" in line for line in told.lines) == (number == 1)
        digests.append(hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_another_number_of_threads_is_said(begun: Path, tmp_path: Path) -> None:
    folder, store, *_ = copy_of(begun, tmp_path)
    _rewrite(store, {"environment": {"threads": 3, "torch": "2.0.0"}})
    told = Told()
    arbench.resume(folder, device="cpu", reporter=told)
    said = [line for line in told.lines if "equal bytes are not promised" in line]
    assert "written with 3 threads, and goes on with 1 thread:" in said[0]
    assert "written with torch 2.0.0, and goes on with torch" in said[1]


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
