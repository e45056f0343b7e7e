"""Run folders: an unfinished run says how to go on, a failed start leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

import arbench
from arbench.cli import main
from arbench.errors import CheckpointError, ConfigError, RunError
from arbench.files.canonical import sealed
from arbench.runs.folder import RunFolder, new_run_folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests copy it and take away what they need to."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return arbench.run("toy-markov", "bernoulli", limit=50, device="cpu", out=out).path


@pytest.fixture
def unfinished(finished: Path, tmp_path: Path) -> Path:
    """What a killed run leaves: a configuration and a checkpoint."""
    folder = tmp_path / "unfinished"
    folder.mkdir()
    shutil.copy(finished / "config.json", folder)
    (folder / "checkpoint").mkdir()
    return folder


def test_every_verb_says_that_a_run_is_unfinished_and_how_to_continue(
    finished: Path, unfinished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ["sample", str(unfinished)],
        ["compare", str(finished), str(unfinished)],
        ["compare", str(unfinished), str(finished)],
        ["bench", str(unfinished), "--device", "cpu"],
        ["evaluate", str(unfinished), "--device", "cpu"],
        ["verify", str(unfinished), "--device", "cpu"],
        ["show", str(unfinished)],
    ):
        assert main(arguments) == 3, arguments
        (line,) = capsys.readouterr().err.splitlines()
        assert "this run is unfinished" in line, arguments
        assert f"arbench resume {unfinished}" in line


def test_a_record_says_how_a_run_ended(finished: Path, unfinished: Path) -> None:
    record = json.loads((finished / "record.json").read_text()) | {"measurements": {}}
    for status, words in (("interrupted", "unfinished"), ("diverged", "smaller learning_rate")):
        record["training"]["status"] = status
        (unfinished / "record.json").write_text(json.dumps(sealed(record)))
        with pytest.raises(CheckpointError, match=words):
            arbench.load(unfinished)
    RunFolder(finished).require_finished()


def test_a_run_that_is_going_on_is_not_to_be_continued(unfinished: Path) -> None:
    folder = RunFolder(unfinished)
    with folder.locked(), pytest.raises(CheckpointError, match="still going on"):
        folder.require_finished()
    with pytest.raises(CheckpointError, match="arbench resume"):
        folder.require_finished()


def test_weights_from_elsewhere_need_no_record(finished: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(finished / name, tmp_path)
    assert arbench.load(tmp_path).spec == arbench.load(finished).spec


def _run_out_of_memory(folder: RunFolder, *files: str) -> None:
    with folder.locked():
        for name in files:
            (folder.path / name).write_text("something")
        folder.metrics.touch()
        raise RunError("no memory")


def _fail_in(folder: RunFolder, *files: str) -> None:
    with pytest.raises(RunError, match="no memory"):
        _run_out_of_memory(folder, *files)


def test_a_start_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    _fail_in(folder, "config.json")
    assert not folder.path.exists()
    # The model cannot be made, which is found after the configuration is written.
    with pytest.raises(ConfigError):
        arbench.run("toy-markov", "nade", settings={"hidden": 0}, device="cpu", out=folder.path)
    assert not folder.path.exists()


def test_a_run_that_got_further_keeps_its_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    _fail_in(folder, "config.json", "checkpoint")
    assert folder.checkpoint.exists()
    _fail_in(folder)  # begun earlier: what is there is not this failure's to remove
    assert folder.config.exists()


def test_a_resumed_start_that_fails_again_keeps_its_configuration(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.config.write_text("something")
    _fail_in(folder)
    assert folder.config.exists()


@pytest.mark.parametrize("name", ["file", "file/run"])
def test_a_run_goes_into_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "file").touch()
    arguments = ["run", "--task", "toy-markov", "--model", "bernoulli", "--device", "cpu"]
    assert main([*arguments, "--out", str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'file'}: is no folder" in line


def test_only_a_folder_with_a_run_is_to_be_resumed(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="choose another folder$"):
        new_run_folder(tmp_path, "task", "model")
    with pytest.raises(ConfigError, match=f"arbench resume {finished}"):
        new_run_folder(finished, "task", "model")


def test_runs_that_cannot_hold_a_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    runs.touch()
    with pytest.raises(ConfigError, match="runs: is no folder"):
        new_run_folder(None, "task", "model")
    runs.unlink()
    runs.symlink_to("nowhere")
    with pytest.raises(ConfigError, match="runs: is no folder"):
        new_run_folder(None, "task", "model")


def test_a_folder_that_nobody_may_write_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and allowed(path, mode))
    with pytest.raises(ConfigError, match="you may not write there"):
        new_run_folder(tmp_path / "a" / "b", "task", "model")
    with pytest.raises(ConfigError, match="you may not write there"), RunFolder(tmp_path).locked():
        pass


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"cannot be made \(Permission denied\)"), folder.locked():
        pass
