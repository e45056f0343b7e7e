"""The script that binds what is kept: what it leaves alone, and what a note outlives."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from arbench.files.atomic import sha256_of
from arbench.runs.record.record import Record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script over a copy of three kept results, none of them of the zoo."""
    spec = importlib.util.spec_from_file_location("bind", ROOT / "scripts" / "bind_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bind", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(module, "ZOO", tmp_path / "zoo")
    shutil.copytree(ROOT / "leaderboards/records/uci-nips", tmp_path / "records" / "uci-nips")
    return module


def _note(path: Path) -> Path:
    return path.parent / "verified" / path.name


def test_what_is_bound_stays_as_it_is(script: ModuleType) -> None:
    files = {file: file.read_bytes() for file in script.RECORDS.rglob("*.*")}
    script.main()
    assert {file: file.read_bytes() for file in script.RECORDS.rglob("*.*")} == files


def test_a_note_outlives_other_hashes_and_errors_and_nothing_else(script: ModuleType) -> None:
    same, edited, _ = sorted(script.RECORDS.glob("*/*.json"))
    for path, seconds in ((same, None), (edited, 1.0)):
        record = Record.read(path)
        assert record.training is not None
        bare = record.sha256.model_copy(update={"per_event": None})
        changes = {"recipe_sha256": "0" * 64, "seconds": seconds or record.training.seconds}
        training = record.training.model_copy(update=changes)
        record.model_copy(update={"sha256": bare, "training": training}).write(path)
        # As if it had been verified so; of the second the record was changed afterwards.
        note = json.loads(_note(path).read_text())
        note["record_sha256"] = sha256_of(path) if seconds is None else note["record_sha256"]
        _note(path).write_text(json.dumps(note))
    verified = sha256_of(same)
    script.main()
    assert Record.read(same).sha256.per_event == sha256_of(same.with_suffix(".safetensors"))
    assert json.loads(_note(same).read_text())["record_sha256"] == sha256_of(same) != verified
    assert not _note(edited).exists()
