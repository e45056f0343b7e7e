"""Ways to read a run that believe what was edited, each caught by the edits of `test_edits`."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from edits import json_edit, used_silently, values_edit

import arbench
from arbench.runs.record.binding import binding_fault
from arbench.runs.record.record import Record

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("bound") / "run"
    return arbench.run("toy-parity", "bernoulli", device="cpu", out=folder).path


def shapes_alone(patch: Patch, run: Path) -> None:
    """A configuration is believed if the weights fit it."""

    def fault(folder: Path, hashes: dict[str, str | None], parts: tuple[str, ...] = ()) -> object:
        return binding_fault(folder, hashes, [part for part in parts if part != "config"])

    patch.setattr("arbench.runs.loading.binding_fault", fault)


def sum_and_spread(patch: Patch, run: Path) -> None:
    """Per-event values are believed if the record's totals follow from them."""
    named = Record.read(run / "record.json").sha256.per_event
    patch.setattr("arbench.runs.record.values.sha256_of", lambda path: named)


def schema_alone(patch: Patch, run: Path) -> None:
    """A record is believed if it adds up."""
    patch.setattr("arbench.runs.record.record.seal_fault", lambda raw: None)


def values_that_changed_places(folder: Path) -> None:
    """The same values, of other events."""
    for number in range(100):
        rng = random.Random(number)
        if rng.sample(range(4000), 2) and rng.randrange(4) in (1, 2, 3):
            break
    values_edit("per_event.safetensors", random.Random(number))(folder)


def other_threads(folder: Path) -> None:
    """A record of another number of threads."""
    path = folder / "record.json"
    text = path.read_text()
    path.write_text(text.replace('"threads": ', '"threads": 1'))
    assert path.read_text() != text


@pytest.mark.parametrize(
    ("wrong", "file", "edit", "reader"),
    [
        (shapes_alone, "config.json", json_edit("config.json", random.Random(1)), "sample"),
        (sum_and_spread, "per_event.safetensors", values_that_changed_places, "compare"),
        (schema_alone, "record.json", other_threads, "leaderboard --runs"),
    ],
)
def test_a_reader_that_believes_an_edit_is_caught(
    wrong: Callable[[Patch, Path], None],
    file: str,
    edit: Callable[[Path], None],
    reader: str,
    bound: Path,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    assert used_silently(bound, file, edit, tmp_path, (reader,)) == []
    wrong(monkeypatch, bound)
    shutil.rmtree(tmp_path / "edited")
    assert used_silently(bound, file, edit, tmp_path, (reader,)) == [reader]
