"""Formats: what an older arbench wrote is read, what a newer one wrote is refused with a reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import arbench
from arbench.boards.speeds import SpeedReport
from arbench.errors import CheckpointError, DataError
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.record.record import Record

FROZEN = Path(__file__).parent / "frozen"


@pytest.fixture
def frozen(tmp_path: Path) -> RunFolder:
    """A copy of a run in the first form: no rendering, no stream, no options of its head."""
    return RunFolder(Path(shutil.copytree(FROZEN / "run-1", tmp_path / "run")))


def test_an_old_run_is_loaded_evaluated_and_verified(frozen: RunFolder) -> None:
    config, record = RunConfig.read(frozen.config), Record.read(frozen.record)
    assert config.rendering is None
    assert config.shown.kind == "table"
    assert (config.head_options, record.model.head_options, record.foreign) == ({}, {}, None)
    found = arbench.evaluate(frozen.path, device="cpu", limit=record.limit)
    assert found.num_groups == found.num_events  # of which the old format does not speak
    numbers = ("total_nats", "bits_per_dim", "standard_error_nats", "standard_error_bits_per_dim")
    for name in numbers:
        said = getattr(record.splits["test"], name)
        assert getattr(found, name) == pytest.approx(said, rel=1e-12)
    assert arbench.resume(frozen.path, device="cpu").record == record
    assert arbench.verify(frozen.path, device="cpu").holds


def test_a_run_of_format_2_is_bound_and_stays_as_it_is(tmp_path: Path) -> None:
    """Whatever a later arbench adds to its formats: the hash is over what stands there."""
    folder = RunFolder(Path(shutil.copytree(FROZEN / "run-2", tmp_path / "run")))
    record, before = Record.read(folder.record), folder.record.read_bytes()
    assert record.is_bound
    assert arbench.verify(folder.path, device="cpu").holds
    assert arbench.resume(folder.path, device="cpu").record == record
    assert folder.record.read_bytes() == before


def change(path: Path, **values: Any) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return path


def test_a_newer_document_says_that_arbench_is_to_be_upgraded(
    frozen: RunFolder, tmp_path: Path
) -> None:
    said = r"format {} is newer than this arbench reads \({}\); upgrade arbench"
    (report,) = SpeedReport.of_record(Record.read(frozen.record))
    report.write(tmp_path / "speed.json")
    # Whatever else a newer format holds, its version is looked at first.
    change(frozen.config, schema_version=2, surprise=1)
    change(frozen.record, schema_version=4, surprise=1)
    change(tmp_path / "speed.json", schema_version=2, surprise=1)
    with pytest.raises(CheckpointError, match=said.format(2, 1)):
        RunConfig.read(frozen.config)
    with pytest.raises(DataError, match=said.format(4, 3)):
        Record.read(frozen.record)
    with pytest.raises(DataError, match=said.format(2, 1)):
        SpeedReport.read(tmp_path / "speed.json")


@pytest.mark.parametrize("version", [0, "1", None, 1.5])
def test_a_version_that_never_was_is_refused(frozen: RunFolder, version: object) -> None:
    with pytest.raises(CheckpointError, match="schema_version"):
        RunConfig.read(change(frozen.config, schema_version=version))
