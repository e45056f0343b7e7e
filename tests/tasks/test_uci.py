"""The UCI sets: sizes and bytes of the pinned ones, and what a wrong file is answered with."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

import arbench_uci
from arbench.data.tasks import SPLITS
from arbench.errors import DataError
from arbench_uci.binary import Adult, BinarySet, Dna, Mushrooms, Nips

FACTS: dict[type[BinarySet], tuple[list[int], str, int]] = {
    Dna: (
        [1400, 600, 1186],
        "183aa2a8acb410c9d950e26030da5b30e3176da04b2ed2566c03565a5c3479a1",
        62,
    ),
    Mushrooms: (
        [2000, 500, 5624],
        "02d2b76d77c88d8f7e9c4e5b6be68e16d242c5e9db55b16bea81a953c3823d3c",
        0,
    ),
    Nips: ([400, 100, 1240], "7163c55ede1f8077131fb918de107b5782dce395e1c5b9fe33d8b82236a8ec9a", 0),
}


@pytest.mark.parametrize("cls", FACTS, ids=lambda cls: cls.name)
def test_pinned_sets(cls: type[BinarySet], data_dir: Path) -> None:
    sizes, sha256, num_test_in_train = FACTS[cls]
    splits = {split: cls().load(split) for split in SPLITS}
    assert cls.pinned
    assert [len(split) for split in splits.values()] == sizes
    for split in splits.values():
        assert split.events.dtype == torch.uint8
        cls.spec.validate(split.events)
    test = splits["test"]
    assert hashlib.sha256(test.events.numpy().tobytes()).hexdigest() == sha256
    assert test.num_events_also_in(splits["train"]) == num_test_in_train


def test_eight_entries_lead_to_classes_of_their_name_and_width() -> None:
    entries = arbench_uci.arbench_entries
    assert len(entries) == 8
    for entry in entries:
        module, _, name = entry.task.partition(":")
        cls = getattr(importlib.import_module(module), name)
        assert cls.name == entry.name
        assert f" {cls.spec.num_dims} dims" in entry.summary
    pinned = {
        e.name
        for e in entries
        if getattr(importlib.import_module("arbench_uci.binary"), e.task.split(":")[1]).pinned
    }
    assert pinned == {"uci-dna", "uci-mushrooms", "uci-nips"}


def _write(folder: Path, name: str, rows: np.ndarray) -> None:
    (folder / "uci").mkdir()
    np.savez(folder / "uci" / name, train_data=rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((4, 122), dtype=np.float32), "123"),
        (np.eye(3, 123, dtype=np.float32) * 2, "event 0, dim 0: found 2.0, expected integers"),
        (np.full((2, 123), np.nan, dtype=np.float32), "found nan"),
        (np.array([{}] * 123, dtype=object)[None], "pickles are never read"),
        (np.full((2, 123), "1"), "train_data"),
    ],
    ids=["width", "value", "nan", "objects", "text"],
)
def test_an_unpinned_file_is_checked_by_content(
    rows: np.ndarray, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    _write(tmp_path, "adult.npz", rows)
    with pytest.raises(DataError, match=message) as caught:
        Adult().load("train")
    assert "adult.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_pinned_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path))
    _write(tmp_path, "dna.npz", np.zeros((4, 180), dtype=np.float32))
    with pytest.raises(DataError, match=r"dna\.npz"):
        Dna().load("train")
