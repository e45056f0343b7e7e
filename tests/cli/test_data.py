"""`arbench data`: where files are, whether they are right, how large the splits are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from arbench.cli import data as data_verb
from arbench.cli import main
from arbench.data import tasks
from arbench.data.dataset import Dataset
from arbench.data.sources import SourceFile, fetch
from arbench.data.tasks import Split, SplitName, Task
from arbench.probability.events import Discrete, EventSpec
from arbench.registry.entries import TaskEntry
from arbench.registry.manager import Registered, Registry

CONTENT = b"0110"
FILE = SourceFile(
    path="probe/bits.txt",
    urls=("http://127.0.0.1:9/bits.txt",),  # the discard port: nobody answers there
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=4,
)


class Probe(Task):
    """Four bits, in a file."""

    name = "probe"
    version = "1"
    spec = EventSpec((1,), Discrete(2))
    files = (FILE,)

    def load(self, split: SplitName) -> Split:
        """The first of the four bits."""
        bits = torch.tensor([int(bit) for bit in fetch(FILE).read_text()]).unsqueeze(1)
        return Split(bits[: {"train": 2, "validation": 1, "test": 4}[split]])


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "probe").mkdir(parents=True)
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    entry = Registered(TaskEntry(name="probe", task=f"{__name__}:Probe"), "plug", "dist", "1")
    registry = Registry([entry])
    monkeypatch.setattr(Registered, "load", lambda self: Probe)
    monkeypatch.setattr(data_verb, "registry", lambda: registry)
    monkeypatch.setattr(tasks, "registry", lambda: registry)


def test_a_right_file_is_shown_with_its_place_and_the_splits(tmp_path: Path, capsys) -> None:
    (tmp_path / "data" / FILE.path).write_bytes(CONTENT)
    assert main(["data", "probe", "--verify"]) == 0
    text = capsys.readouterr().out
    assert f"sha256 right  4      {tmp_path / 'data' / FILE.path}" in text
    assert f"probe  2      1           4     {Dataset(Probe()).sha256}" in text


def test_a_missing_file_is_shown_with_its_address_and_nothing_is_fetched(
    tmp_path: Path, capsys
) -> None:
    assert main(["data", "probe", "--verify"]) == 0
    text = capsys.readouterr().out
    assert "not here" in text
    assert FILE.urls[0] in text
    assert not (tmp_path / "cache").exists()


def test_what_a_task_keeps_of_its_files_is_enough(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    kept = Split(torch.tensor([[0], [1]]))
    monkeypatch.setattr(Probe, "load", lambda self, split: kept)
    assert main(["data", "probe"]) == 0
    text = capsys.readouterr().out
    assert "not here, nor needed" in text
    assert "probe  2      2           2     (--verify)" in text
    assert "--download" not in text


def test_a_damaged_file_is_bad_data(tmp_path: Path, capsys) -> None:
    (tmp_path / "data" / FILE.path).write_bytes(b"0111")
    assert main(["data", "probe"]) == 3
    assert str(tmp_path / "data" / FILE.path) in capsys.readouterr().err
    assert main(["data"]) == 3
    output = capsys.readouterr()
    assert "probe        failed" in output.out
    assert output.err.startswith("arbench: error: probe: ")


def test_download_says_when_nobody_answers(capsys) -> None:
    assert main(["data", "probe", "--download"]) == 4
    assert "ARBENCH_DATA" in capsys.readouterr().err
