"""Checkpoints: at every moment, the one that counts is whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from arbench.errors import CheckpointError, RunError
from arbench.experiment import files
from arbench.experiment.checkpoints import CheckpointStore, Progress


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


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("occurrence", [1, 2, 3, 4])
def test_dying_anywhere_while_saving_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, occurrence: int
) -> None:
    store = CheckpointStore(tmp_path / "checkpoint")
    store.save(Progress(step=1), _tensors(1.0))
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
        store.save(Progress(step=2), _tensors(2.0))
    except Died:
        died = True
    monkeypatch.undo()
    loaded = store.load()
    assert loaded is not None
    progress, tensors = loaded
    assert torch.equal(tensors["network.w"], torch.full((4,), float(progress.step)))
    committed = not died or (call == "fsync" and occurrence == 4)
    assert progress.step == (2 if committed else 1)


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
