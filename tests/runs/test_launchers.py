"""Launchers start jobs, tell how they ended, and leave none behind; what was lost starts again."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from shell_jobs import shell_job

import arbench
from arbench import Job, Launcher, Notice
from arbench.api.launching import MOST_LOSSES, jobs_of, launch, open_launcher
from arbench.cli import main
from arbench.errors import ConfigError, Interrupted, PluginError
from arbench.registry.entries import LauncherEntry
from arbench.registry.manager import Registered, registry
from arbench.runs.pool.claims import read_note
from arbench.runs.pool.local import Local
from arbench.runs.pool.status import queue_status
from arbench.runs.queue import read_queue
from arbench.show.reporting import Reporter

QUICK = '[[run]]\ntask = "toy-markov"\nmodel = "bernoulli"\nlimit = 200\nname = "quick"\n'
LONG = """[[run]]
task = "toy-markov"
model = "fvsbn"
limit = 1000
epochs = 1000
name = "long"
settings = { alternative = "free", "training.checkpoint_seconds" = 0.1 }
"""
ROOT = Path(__file__).parents[2]


class Listener(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def is_there(pid: int) -> bool:
    """Whether a process is at work; one that has ended and nobody has asked for is not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def _looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arbench.api.launching._SECONDS_BETWEEN_LOOKS", 0.02)


@pytest.fixture
def warm_python(
    tmp_path: Path, warm: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs find torch imported."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.join(warm())} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


@pytest.mark.usefixtures("warm_python")
def test_a_job_writes_a_checkpoint_and_ends_with_its_leash(tmp_path: Path) -> None:
    """So no run goes on that nobody waits for, however its launcher ended."""
    queue, home = tmp_path / "queue.toml", tmp_path / "runs"
    queue.write_text(QUICK + LONG)
    (home / ".queue").mkdir(parents=True)
    (_, job) = jobs_of(Far(), queue, ["quick", "long"], home, "cpu", None, 1.0)
    assert job.name == "long"
    process = job.start()
    try:
        wait_for((home / "long" / "checkpoint" / "state.json").exists)
        note = read_note(home / ".queue" / "long")
        assert note is not None
        os.kill(note.pid, signal.SIGUSR2)  # SLURM's, which is for whoever started the job
        process.let_go()
        assert process.wait() == 128 + signal.SIGTERM, job.log.read_text()
    finally:
        process.end(0.0)
    assert "with a checkpoint; continue with" in job.log.read_text()
    states = [run.state for run in queue_status(read_queue(queue), home).runs]
    assert states == ["waiting", "waiting"]  # and the other run was not this job's
    assert not (home / "quick").exists()


def test_what_is_stuck_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > child; trap '' TERM; echo on >&2; sleep 600"
    process = shell_job(tmp_path, "stuck", script).start()
    wait_for(lambda: (tmp_path / "stuck.log").read_text() == "on\n")
    assert process.code is None
    assert process.end(0.1) == -signal.SIGKILL
    wait_for(lambda: not is_there(int((tmp_path / "child").read_text())))


def test_a_job_has_its_time_and_no_more(tmp_path: Path) -> None:
    job = shell_job(tmp_path, "long", "read leash; touch checkpoint; exit 143")
    assert job.attend(seconds=0.3) == 143
    assert (tmp_path / "checkpoint").exists()
    assert shell_job(tmp_path, "short", "exit 3").attend(seconds=60) == 3


class Far(Launcher):
    """Loses each job as often as it is told, and says how the rest ended."""

    def __init__(self, losses: int = 0) -> None:
        self.losses, self.started = losses, list[str]()
        self.notices: list[Notice] = []
        self.is_stopped = self.is_closed = False

    def start(self, jobs: Sequence[Job], at_once: int | None) -> None:
        for job in jobs:
            self.started.append(job.name)
            is_lost = self.started.count(job.name) <= self.losses
            self.notices.append(Notice(job.name, "lost" if is_lost else "ended", "a storm"))

    def poll(self) -> Iterable[Notice]:
        told, self.notices = self.notices, []
        return told

    def stop(self) -> None:
        self.is_stopped = True

    def close(self) -> None:
        self.is_closed = True


def launched(launcher: Launcher, home: Path, *jobs: Job) -> list[str]:
    """What is said while a launcher has these jobs."""
    queue = home / "queue.toml"
    queue.write_text(QUICK)
    listener = Listener()
    launch(launcher, jobs, read_queue(queue), home, None, listener)
    return listener.lines


@pytest.mark.parametrize("losses", [0, 2, 100])
def test_what_is_lost_is_started_again_but_not_for_ever(losses: int, tmp_path: Path) -> None:
    far = Far(losses)
    lines = launched(far, tmp_path, shell_job(tmp_path, "a", ""), shell_job(tmp_path, "b", ""))
    times = 1 + min(losses, MOST_LOSSES)
    assert sorted(far.started) == ["a"] * times + ["b"] * times
    assert lines.count("[a] a storm; started again") == times - 1
    assert lines.count("[a] a storm") == 1
    assert far.is_closed


def test_a_stop_signal_is_handed_on_and_nothing_starts_again(tmp_path: Path) -> None:
    class Stopped(Far):
        def poll(self) -> Iterable[Notice]:
            if not self.is_stopped:
                os.kill(os.getpid(), signal.SIGTERM)
                return []
            return super().poll()

    far = Stopped(losses=1)
    with pytest.raises(Interrupted, match="the same command goes on") as raised:
        launched(far, tmp_path, shell_job(tmp_path, "a", ""))
    assert raised.value.exit_code == 128 + signal.SIGTERM
    assert far.started == ["a"]
    assert far.is_closed


def test_local_workers_that_are_killed_start_again_and_none_is_left(tmp_path: Path) -> None:
    dies_once = "test -e died && exit 0; touch died; echo ouch >&2; kill -9 $$"
    goes_on = f"echo $$ > pid; exec {shlex.quote(sys.executable)} -c 'input()'"
    lines = launched(Local(), tmp_path, shell_job(tmp_path, "1", dies_once))
    assert lines == ["[1] ouch", "[1] killed by signal 9; started again"]
    local = Local()
    local.start([shell_job(tmp_path, "2", goes_on)], None)
    wait_for((tmp_path / "pid").exists)
    local.close()
    assert not is_there(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("slrum", "no launcher is called 'slrum': did you mean slurm"),
        ("local?cpus=2", "local has no setting 'cpus'; it has none"),
        ("ray?cpu=2", "ray has no setting 'cpu': did you mean cpus"),
        ("ray?cpus=0", "ray: cpus is at least 1, got 0"),
        ("ray?memory_gb=-1", "ray: memory_gb is 0 or more, got -1"),
        ("ray?minutes=0", "ray: minutes is more than 0, got 0"),
        ("slurm?minutes=1", "slurm: a run of 1 minutes cannot be told 120 s before its end"),
        ("slurm?cluster=pbs", "slurm: cluster is slurm or local, got 'pbs'"),
        ("ray?cpus=many", "ray: "),
    ],
)
def test_what_is_no_launcher_or_no_setting_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        open_launcher(text)


def test_a_class_that_is_none_and_a_missing_extra_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offered(**entry: str) -> Registered[LauncherEntry]:
        made = LauncherEntry(name="odd", **entry)  # type: ignore[arg-type]
        return Registered(made, "plug", "far-away", "1.0")

    def find(offer: Registered[LauncherEntry]) -> None:
        monkeypatch.setattr(type(registry()), "find", lambda *_: offer)
        open_launcher("odd")

    with pytest.raises(PluginError, match="far-away is no arbench.Launcher"):
        find(offered(launcher="arbench.show.reporting:Reporter"))
    with pytest.raises(ConfigError, match=r"odd needs far-away, .*pip install 'far-away\[more\]'"):
        find(offered(launcher="a.b:C", extra="more"))


def test_launchers_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "launchers"]) == 0
    listed = capsys.readouterr().out
    assert [*re.findall(r"^(\S+) ", listed, re.MULTILINE)] == ["LAUNCHER", "local", "ray", "slurm"]
    assert main(["show", "ray"]) == 0
    shown = capsys.readouterr().out
    assert "settings (ray?KEY=VALUE&KEY=VALUE)" in shown
    assert "(float | None, default None)" in shown


@pytest.mark.usefixtures("warm_python")
def test_the_launcher_of_the_docs_makes_a_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an ssh that goes nowhere: it only leaves out the machine's name."""
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "queue.md").read_text(), re.M | re.S
    )
    (tmp_path / "arbench_by_ssh.py").write_text(code)
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\necho "$1" >> hosts\nshift\nexec sh -c "$*"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    entry = LauncherEntry(name="ssh", launcher="arbench_by_ssh:SshLauncher")
    offers = {**registry().launchers, "ssh": Registered(entry, "by-ssh", "by-ssh", "1")}
    monkeypatch.setattr(registry(), "launchers", offers)
    queue = tmp_path / "queue.toml"
    queue.write_text(QUICK + QUICK.replace("quick", "second"))
    made = arbench.run_queue(queue, out="runs", device="cpu", launcher='ssh?hosts=["a","b"]')
    assert [run.path.name for run in made] == ["quick", "second"]
    assert sorted((tmp_path / "hosts").read_text().split()) == ["a", "b"]
    again = arbench.run_queue(queue, out="runs", device="cpu", launcher="ssh")
    assert all(run.was_finished for run in again)
    assert len((tmp_path / "hosts").read_text().split()) == 2  # nothing was left to start


@pytest.mark.slow  # a command, two workers, and trainings long enough to be left alone
def test_workers_end_when_their_command_is_killed(tmp_path: Path) -> None:
    queue, home = tmp_path / "queue.toml", tmp_path / "runs"
    queue.write_text(LONG + LONG.replace('"long"', '"other"'))
    command = [sys.executable, "-m", "arbench", "queue", str(queue), "--out", str(home)]
    command += ["--device", "cpu", "--workers", "2"]
    supervisor = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: len([*home.glob("*/checkpoint/state.json")]) == 2)
    pids = [int(r.worker.split(":")[1]) for r in queue_status(read_queue(queue), home).runs]
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not any(map(is_there, pids)))
    assert {run.state for run in queue_status(read_queue(queue), home).runs} == {"waiting"}
