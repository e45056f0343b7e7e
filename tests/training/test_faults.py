"""When things go wrong: killed, told to stop, out of disk or memory, turned to NaN, run twice.

Every test starts real child processes. Those marked slow take long, or try many more moments.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ARGUMENTS = ["run", "--task", "toy-markov", "--model", "made", "--device", "cpu", "--limit", "1000"]
ARGUMENTS += ["--epochs", "8", "--set", "hidden=8", "--set", "dropout=0.1"]
ARGUMENTS += ["--set", "alternative=dropout", "--set", "batch_size=100"]
ARGUMENTS += ["--set", "ema_decay=0.9", "--set", "evaluations=5", "--set", "checkpoint_seconds=0"]
STEPS = 80

# Dies by SIGKILL at the n-th call of a function, before it does anything.
KILL_AT = """
import os, signal
calls = 0
def deadly(real, n):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
"""


def _environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **variables}


def _start(*arguments: str, prelude: str = "", **variables: str) -> subprocess.Popen[str]:
    program = f"{prelude}\nimport sys\nfrom arbench.cli import main\nsys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=240)
    return process.returncode, errors


def _outcome(folder: Path) -> tuple[str, list[dict[str, float]], int]:
    """What must not depend on interruptions: weights, metrics but for the clock, steps."""
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    record = json.loads((folder / "record.json").read_text())
    assert record["training"]["status"] == "finished"
    for line in metrics:
        del line["seconds"]
    return weights, metrics, record["training"]["steps"]


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, list[dict[str, float]], int]:
    """The outcome of the same run without interruption."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    code, errors = _finish(_start(*ARGUMENTS, "--out", str(folder)))
    assert code == 0, errors
    return _outcome(folder)


def _steps_done(folder: Path) -> int:
    state = folder / "checkpoint" / "state.json"
    return json.loads(state.read_text())["progress"]["step"] if state.exists() else 0


def _wait_for_steps(process: subprocess.Popen[str], folder: Path, steps: int) -> None:
    deadline = time.monotonic() + 120
    while _steps_done(folder) < steps and process.poll() is None:
        assert time.monotonic() < deadline, "the run makes no progress"
        time.sleep(0.005)


def test_a_killed_run_resumes_to_the_same_bytes(
    tmp_path: Path, undisturbed: tuple[str, list[dict[str, float]], int]
) -> None:
    folder = tmp_path / "run"
    process = _start(*ARGUMENTS, "--out", str(folder))
    _wait_for_steps(process, folder, 17)
    process.kill()
    _finish(process)
    assert 17 <= _steps_done(folder) < STEPS
    assert not (folder / "record.json").exists()
    code, errors = _finish(_start("resume", str(folder)))
    assert code == 0, errors
    assert "resuming after step" in errors
    assert _outcome(folder) == undisturbed
    assert not (folder / "checkpoint").exists()


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing(
    tmp_path: Path, undisturbed: tuple[str, list[dict[str, float]], int]
) -> None:
    folder = tmp_path / "run"
    targets = np.random.default_rng(0).choice(np.arange(1, STEPS), 20, replace=False)
    kills = 0
    arguments = [*ARGUMENTS, "--out", str(folder)]
    # Slowly enough to be met between any two steps.
    slowly = (
        "import os, time\nflush = os.fsync\nos.fsync = lambda fd: (time.sleep(0.02), flush(fd))"
    )
    for target in sorted(targets):
        process = _start(*arguments, prelude=slowly)
        _wait_for_steps(process, folder, int(target))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        _finish(process)
        arguments = ["resume", str(folder)]
    assert kills == 20
    code, errors = _finish(_start(*arguments))
    assert code == 0, errors
    assert _outcome(folder) == undisturbed


POINTS = {
    "in the middle of a batch": (
        "from torch import Tensor; Tensor.backward = deadly(Tensor.backward, 23)"
    ),
    "before a flush": "os.fsync = deadly(os.fsync, 41)",
    "between temporary file and rename": "os.replace = deadly(os.replace, 30)",
    "while old checkpoints are removed": "os.unlink = deadly(os.unlink, 12)",
    "in an evaluation on the way": (
        "import arbench.training.trainer as t; "
        "t.evaluate_log_probs = deadly(t.evaluate_log_probs, 3)"
    ),
    "in the final evaluation": (
        "import arbench.measure.asking as a; a.evaluate_log_probs = deadly(a.evaluate_log_probs, 2)"
    ),
    "after the weights, before the record": (
        "from arbench.runs.record.record import Record; Record.write = deadly(Record.write, 1)"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_dying_at_a_named_point_changes_nothing(
    tmp_path: Path, undisturbed: tuple[str, list[dict[str, float]], int], point: str
) -> None:
    folder = tmp_path / "run"
    process = _start(*ARGUMENTS, "--out", str(folder), prelude=KILL_AT + POINTS[point])
    code, errors = _finish(process)
    assert code == -signal.SIGKILL, errors
    code, errors = _finish(_start("resume", str(folder)))
    assert code == 0, errors
    assert _outcome(folder) == undisturbed


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_a_stop_signal_leaves_a_checkpoint_and_its_exit_code(
    tmp_path: Path,
    undisturbed: tuple[str, list[dict[str, float]], int],
    number: signal.Signals,
    code: int,
) -> None:
    folder = tmp_path / "run"
    process = _start(*ARGUMENTS, "--out", str(folder))
    _wait_for_steps(process, folder, 5)
    process.send_signal(number)
    found, errors = _finish(process)
    assert found == code, errors
    assert f"arbench resume {folder}" in errors
    assert "Traceback" not in errors
    record = json.loads((folder / "record.json").read_text())
    assert record["training"]["status"] == "interrupted"
    assert record["measurements"] == {}
    found, errors = _finish(_start("resume", str(folder)))
    assert found == 0, errors
    assert _outcome(folder) == undisturbed


@pytest.mark.slow
def test_two_runs_never_share_a_folder_and_a_stale_lock_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = _start(*ARGUMENTS, "--epochs", "4000", "--out", str(folder))
    _wait_for_steps(first, folder, 2)
    code, errors = _finish(_start("resume", str(folder)))
    assert code == 2
    assert "a run is going on" in errors
    first.kill()
    _finish(first)
    third = _start("resume", str(folder))
    _wait_for_steps(third, folder, _steps_done(folder) + 2)
    assert third.poll() is None
    third.send_signal(signal.SIGINT)
    assert _finish(third)[0] == 130


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, undisturbed: tuple[str, list[dict[str, float]], int]
) -> None:
    folder = tmp_path / "run"
    # From the 41st flush on the system lets no file grow beyond a kilobyte.
    limit = (
        "import os, resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "real = os.fsync\ncalls = 0\n"
        "def flush(fd):\n    global calls\n    calls += 1\n"
        "    if calls == 41:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "    return real(fd)\nos.fsync = flush\n"
    )
    code, errors = _finish(_start(*ARGUMENTS, "--out", str(folder), prelude=limit))
    assert code == 1
    assert "disk is full" in errors
    assert "MB free" in errors
    assert str(folder) in errors
    assert "Traceback" not in errors
    assert 0 < _steps_done(folder) < STEPS
    assert not list(folder.rglob(".*tmp*"))
    code, errors = _finish(_start("resume", str(folder)))
    assert code == 0, errors
    assert _outcome(folder) == undisturbed


def test_a_file_too_large_for_its_limit_is_a_full_disk_too(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    program = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    program += f"resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, {resource.RLIM_INFINITY}))\n"
    arguments = [*ARGUMENTS, "--set", "hidden=2000", "--out", str(folder)]
    code, errors = _finish(_start(*arguments, prelude=program))
    assert code == 1, errors
    assert "disk is full" in errors
    assert not list((folder / "checkpoint").glob("step-*"))
