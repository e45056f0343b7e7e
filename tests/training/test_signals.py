"""Stop signals: acknowledged at once, the second one ends, and the last line says how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from arbench.cli import main
from arbench.errors import Interrupted
from arbench.runs.folder import RunFolder
from arbench.training.signals import listening_for_stop

ACKNOWLEDGED = "stopping after this step; press Ctrl-C again to stop at once\n"


def test_the_first_signal_is_acknowledged_at_once_and_remembered(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with listening_for_stop() as heard:
        os.kill(os.getpid(), signal.SIGINT)
        assert capfd.readouterr().err == ACKNOWLEDGED  # not only when the step is over
        assert heard == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) != signal.SIG_DFL


def test_of_several_processes_one_acknowledges(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank, said in (("0", ACKNOWLEDGED), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        with listening_for_stop() as heard:
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == [signal.SIGTERM]
        assert capfd.readouterr().err == said


def test_the_second_signal_ends_at_once() -> None:
    program = """
import os, signal
from arbench.training.signals import listening_for_stop
with listening_for_stop():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
print("still here")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGINT
    assert done.stdout == ""
    assert done.stderr == ACKNOWLEDGED


def test_a_signal_that_nobody_hears_about_still_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(descriptor: int, text: bytes) -> int:
        raise BrokenPipeError

    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr("os.write", closed)
    with listening_for_stop() as heard:
        os.kill(os.getpid(), signal.SIGINT)
    assert heard == [signal.SIGINT]


def test_ctrl_c_after_training_says_how_to_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    arguments = ["run", "--task", "toy-markov", "--model", "bernoulli", "--limit", "50"]
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("arbench.measure.speed.measure_sampling", interrupted)
        assert main([*arguments, "--device", "cpu", "--out", str(folder)]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"arbench: error: interrupted; continue with `arbench resume {folder}`"
    assert main(["resume", str(folder), "--device", "cpu"]) == 0
    assert (folder / "record.json").exists()


def test_ctrl_c_before_there_is_anything_promises_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path / "run").locked():
        raise KeyboardInterrupt
    folder = RunFolder(tmp_path / "begun")
    folder.path.mkdir()
    folder.config.touch()
    with pytest.raises(Interrupted, match="arbench resume"), folder.locked():
        raise KeyboardInterrupt
