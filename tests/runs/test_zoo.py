"""The zoo: what ships is whole, pinned and true to its records, and a name stands for one run."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch

import arbench
from arbench.errors import CheckpointError, ConfigError
from arbench.hub.card import card_of
from arbench.hub.finding import find_run
from arbench.runs.folder import RunFolder
from arbench.runs.record.record import Record
from arbench.runs.record.values import read_log_probs
from arbench.runs.zoo import check_files, read_index, zoo_folder, zoo_index

ROOT = Path(__file__).parents[2]
ENTRIES = sorted(zoo_index())


def test_the_index_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("index_zoo", ROOT / "scripts" / "index_zoo.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.index(ROOT / "zoo", {})
    assert made == json.loads((ROOT / "zoo" / "index.json").read_text()), (
        "run python scripts/index_zoo.py"
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_ships_with_a_card_and_a_record_that_belong_to_it(name: str) -> None:
    entry = zoo_index()[name]
    if entry.bundled is None:
        assert entry.repo is not None
        return
    assert entry.size < 8e6
    folder = RunFolder(entry.bundled)
    record = Record.read(folder.record)
    assert name == f"{record.task.name}/{record.model.name}"
    assert record.limit is None
    assert folder.card.read_text() == card_of(entry.bundled, load_as=name), (
        "run python scripts/index_zoo.py"
    )
    log_probs = read_log_probs(record, folder.per_event).values
    assert -log_probs.sum().item() == pytest.approx(record.splits["test"].total_nats, rel=1e-12)


def test_a_bundled_entry_loads_by_its_name() -> None:
    model = arbench.load("mnist-mini/nade")
    digits = arbench.sample(model, 4)
    assert digits.shape == (4, 1, 28, 28)
    assert torch.equal(
        arbench.load(zoo_folder() / "mnist-mini" / "nade").log_prob(digits), model.log_prob(digits)
    )


def test_a_folder_that_exists_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_run("mnist-mini/nade") == zoo_folder() / "mnist-mini" / "nade"
    (tmp_path / "mnist-mini" / "nade").mkdir(parents=True)
    assert find_run("mnist-mini/nade") == Path("mnist-mini/nade")


@pytest.mark.parametrize(
    ("name", "said"),
    [("mnist-mini/nad", "did you mean mnist-mini/nade"), ("runs/there-is-none", "no run folder")],
)
def test_an_unknown_name_says_what_comes_close(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        arbench.load(name)


def test_every_file_of_an_entry_is_checked(tmp_path: Path) -> None:
    entry = zoo_index()["mnist-mini/nade"]
    for name in entry.files:
        folder = Path(shutil.copytree(zoo_folder() / entry.name, tmp_path / name))
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(CheckpointError, match=f"{name}: has sha256"):
            check_files(folder, entry.files)
        (folder / name).unlink()
        with pytest.raises(CheckpointError, match=f"{name}: is no file"):
            check_files(folder, entry.files)


def test_an_entry_that_is_nowhere_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = json.loads((ROOT / "zoo" / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({"a/b": index["mnist-mini/nade"]}))
    monkeypatch.setattr("arbench.runs.zoo.zoo_folder", lambda: tmp_path)
    monkeypatch.setattr(
        "arbench.hub.finding.zoo_index", lambda: read_index(tmp_path / "index.json")
    )
    with pytest.raises(CheckpointError, match="install arbench again"):
        find_run("a/b")
