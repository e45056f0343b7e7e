"""How a run ends: told to stop, killed at its very beginning, heard by nobody, without memory."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from arbench.api import resume
from arbench.cli import VERBS, main
from arbench.cli.options import UserPath
from arbench.errors import ConfigError, PluginError
from arbench.measure import asking, speed
from arbench.registry.surroundings import contained
from arbench.runs import experiment as run_module
from arbench.runs import trained_checks
from arbench.runs.folder import RunFolder
from arbench.training.trainer import Trainer

RUN = ["run", "--task", "toy-markov", "--model", "bernoulli", "--limit", "50", "--device", "cpu"]
TRAIN = ["run", "--task", "toy-markov", "--model", "made", "--limit", "50", "--device", "cpu"]
TRAIN += ["--epochs", "2", "--set", "hidden=4", "--set", "alternative=dropout"]


def _status(folder: Path) -> str:
    return str(json.loads((folder / "record.json").read_text())["training"]["status"])


OWNERS = {
    "evaluate_log_probs": asking,
    "save_samples": trained_checks,
    "measure_sampling": speed,
}


def _signalled(number: int, name: str, owner: Any, patch: pytest.MonkeyPatch) -> None:
    """The signal comes the first time that a function is called."""
    real, sent = getattr(owner, name), []

    def call(*arguments: Any, **options: Any) -> Any:
        if not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        return real(*arguments, **options)

    patch.setattr(owner, name, call)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
@pytest.mark.parametrize("at", OWNERS)
@pytest.mark.parametrize("arguments", [RUN, TRAIN], ids=["fit", "trained"])
def test_a_stop_signal_in_the_final_evaluation_is_told_and_written_down(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    at: str,
    number: int,
    code: int,
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        _signalled(number, at, OWNERS[at], patch)
        assert main([*arguments, "--out", str(folder)]) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("arbench: error: interrupted")
    assert f"`arbench resume {folder}`" in last
    assert _status(folder) == "interrupted"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # as it was
    assert main(["resume", str(folder), "--device", "cpu"]) == 0
    assert _status(folder) == "finished"


def test_a_stop_signal_in_the_last_step_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Trainer.evaluate

    def evaluate(trainer: Trainer, fraction: float) -> None:
        if fraction >= 1:
            os.kill(os.getpid(), signal.SIGTERM)
        real(trainer, fraction)

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", evaluate)
        assert main([*TRAIN, "--out", str(folder)]) == 143
    assert "interrupted after step 2, with a checkpoint" in capsys.readouterr().err
    assert _status(folder) == "interrupted"
    assert main(["resume", str(folder), "--device", "cpu"]) == 0


def test_a_stop_signal_before_anything_is_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        _signalled(signal.SIGTERM, "write_text", run_module, patch)
        assert main([*RUN, "--out", str(folder)]) == 143
    assert "before there was anything to keep; run the same" in capsys.readouterr().err
    assert not folder.exists()


def test_a_stop_signal_is_no_fault_of_a_plugin() -> None:
    for error in (KeyboardInterrupt, MemoryError):
        with pytest.raises(error), contained():
            raise error
    with pytest.raises(PluginError, match=r"^SystemExit: 3$"), contained():
        raise SystemExit(3)
    with pytest.raises(PluginError, match=r"^it is unfit$"), contained():
        raise PluginError("it is\n  unfit")


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """What a run leaves that was killed in its very first write."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".config.json.tmp-2222222").write_text('{"task": ')
    return folder


def test_a_folder_of_a_run_killed_in_its_first_write_is_as_good_as_new(killed: Path) -> None:
    assert main([*RUN, "--out", str(killed)]) == 0
    assert _status(killed) == "finished"
    assert not list(killed.glob(".*tmp*"))


def test_there_is_nothing_in_it_to_resume_and_that_is_said(
    killed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", str(killed)]) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert "was killed before it had written anything; start it anew" in last
    assert f"--out {killed}`" in last


def test_a_folder_that_another_run_took_meanwhile_is_left_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.locked(is_new=True):
        folder.config.write_text("{}")
    with (
        pytest.raises(ConfigError, match="another run has begun there"),
        folder.locked(is_new=True),
    ):
        raise AssertionError("it was taken")
    assert folder.config.read_text() == "{}"


def test_a_finished_run_is_resumed_without_a_stroke(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert main([*RUN, "--out", str(folder)]) == 0
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    again = resume(folder)
    assert again.was_finished
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
    (folder / "README.md").unlink()  # it was interrupted after its record
    resume(folder)
    assert (folder / "README.md").exists()


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a line of bash does, in which $ARBENCH is the command."""
    command = f"{sys.executable} -m arbench"
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ARBENCH": command, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("$ARBENCH list tasks >&-", 0),
        ("$ARBENCH list tasks <&- >&- 2>&-", 0),
        ("$ARBENCH show nosuch 2>/dev/full", 2),
        ("$ARBENCH show nosuch 2>&-", 2),
        ("$ARBENCH list tasks >/dev/full", 1),
        (f"$ARBENCH {' '.join(RUN)} --out out >&- 2>/dev/full && test -s out/record.json", 0),
    ],
)
def test_no_stream_is_needed_for_the_work(tmp_path: Path, script: str, code: int) -> None:
    done = shell(script, tmp_path)
    assert "Traceback" not in done.stderr
    assert "AttributeError" not in done.stderr
    assert done.returncode == code


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
@pytest.mark.parametrize("kilobytes", [400_000, 700_000])
def test_no_memory_to_begin_with_is_one_sentence(tmp_path: Path, kilobytes: int) -> None:
    done = shell(f"ulimit -v {kilobytes}; $ARBENCH {' '.join(RUN)} --out out", tmp_path)
    (line,) = done.stderr.splitlines()
    assert line.startswith("arbench: error: out of memory: torch alone needs about 1,024 MB")
    assert done.returncode == 1
    assert not (tmp_path / "out").exists()


LITTLE_LEFT = """
import resource, sys, torch
from pathlib import Path
from arbench.files.tensors import load_tensors, save_tensors
weights = {str(index): torch.ones(1 << 22) for index in range(16)}
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (16 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
save_tensors(Path("weights"), weights)
if "load" in sys.argv:
    load_tensors(Path("weights"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
def test_weights_are_written_without_a_copy_in_memory(tmp_path: Path) -> None:
    """256 MB of them where 16 MB are left; the library would end the process."""
    (tmp_path / "program.py").write_text(LITTLE_LEFT)
    done = shell("${ARBENCH% -m arbench} program.py load", tmp_path)
    assert (tmp_path / "weights").stat().st_size > 16 * (1 << 24)
    # They are read one by one too, and what has no room is an error of Python's.
    assert done.returncode == 1
    assert "can't allocate memory" in done.stderr.splitlines()[-1]
    assert "panicked" not in done.stderr


def test_the_home_folder_is_found_in_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main([*RUN, "--out=~/runs/a"]) == 0
    assert main(["resume", "~/runs/a"]) == 0
    for arguments in (
        ["show", "~/runs/a"],
        ["sample", "~/runs/a", "-n", "2", "--out=~/x.csv"],
        ["compare", "~/runs/a", "~/runs/a"],
        ["leaderboard", "mnist-mini", "--runs=~/runs", "--html=~/page"],
        ["bench", "~/runs/a", "--out=~/speed.json"],
        ["new", "model", "mine", "--out=~/mine"],
        ["check", "pixelcnn", "--picture=~/field.png"],
    ):
        assert main(arguments) == 0, arguments
    capsys.readouterr()
    assert not (tmp_path / "~").exists()
    for file in ("x.csv", "page/index.html", "speed.json", "mine", "field.png"):
        assert (tmp_path / file).exists()
    small = ["--device", "cpu", "--limit", "50", "--out", "~/images"]
    assert main(["run", "--task", "mnist-mini", "--model", "bernoulli", *small]) == 0
    capsys.readouterr()
    given = ["--given=~/none.png", "--rows", "3", "--device", "cpu"]
    assert main(["sample", "~/images", *given]) in (2, 3)
    assert f"{tmp_path}/none.png" in capsys.readouterr().err


def test_every_path_of_the_command_line_is_one_of_the_user_s() -> None:
    paths = {
        (verb, parameter.name): type(parameter.type)
        for verb, (module, _) in VERBS.items()
        for parameter in importlib.import_module(module).command.params
        if isinstance(parameter.type, click.Path)
    }
    assert len(paths) > 15
    assert set(paths.values()) == {UserPath}
