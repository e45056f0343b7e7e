"""A queue is a pool: workers share it, make each run once, and take up what a dead one leaves."""

from __future__ import annotations

import collections
import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import arbench
from arbench.cli import main
from arbench.errors import ConfigError, Held, RunError
from arbench.files.atomic import sha256_of, write_text
from arbench.runs.folder import RunFolder
from arbench.runs.pool.claims import Claims
from arbench.runs.pool.status import QueueStatus, queue_status
from arbench.runs.queue import read_queue
from arbench.show.reporting import Reporter

LEASE = "1"
QUICK = '[[run]]\ntask = "toy-markov"\nmodel = "bernoulli"\nlimit = 200\n'
LONG = """[[run]]
task = "toy-markov"
model = "fvsbn"
limit = 1000
epochs = {epochs}
settings = {{ alternative = "free", "training.checkpoint_seconds" = 0.1 }}
"""


def queue_of(folder: Path, *texts: str) -> Path:
    """A queue file of runs, named a, b and so on."""
    path = folder / "queue.toml"
    named = [f'{text}name = "{chr(97 + number)}"\n' for number, text in enumerate(texts)]
    path.write_text("".join(named))
    return path


class Pool:
    """Workers on one queue, each a process, and a watcher that looks at the status all the time."""

    def __init__(self, queue: Path, home: Path, workers: int, python: list[str]) -> None:
        self.wanted, self.home, self.killed = read_queue(queue), home, set[int]()
        command = [*python, "-m", "arbench", "queue", str(queue), "--out", str(home)]
        self.logs = [home.parent / f"worker-{number}" for number in range(workers)]
        self.workers = []
        for log in self.logs:
            with open(log, "w") as errors:
                self.workers.append(
                    subprocess.Popen(
                        [*command, "--device", "cpu", "--lease", LEASE],
                        stdout=subprocess.DEVNULL,
                        stderr=errors,
                    )
                )
        self.samples: list[QueueStatus] = []
        self.lies: list[str] = []
        self.watcher = threading.Thread(target=self._watch)
        self.watcher.start()

    def _watch(self) -> None:
        while any(worker.poll() is None for worker in self.workers):
            self.look()
            time.sleep(0.02)

    def look(self) -> None:
        """Hold a status against what is known from elsewhere."""
        killed = {*self.killed}
        finished = {i.name for i in self.wanted if (self.home / i.name / "record.json").exists()}
        status = queue_status(self.wanted, self.home)
        self.samples.append(status)
        running = [run for run in status.runs if run.state == "running"]
        pids = [int(run.worker.split(":")[1]) for run in running]
        made = {run.name for run in status.runs if run.state == "made"}
        records = {n for n in made if (self.home / n / "record.json").exists()}
        before = {r.name for s in self.samples[-2:-1] for r in s.runs if r.state == "made"}
        facts = {
            "a killed worker makes nothing": not killed & {*pids},
            "a worker makes one run": len({*pids}) == len(pids),
            "no more than there are workers": len(pids) <= len(self.workers) - len(killed),
            "what is made stays made": before <= made,
            "what is made has a record": made == records,
            "what had a record is made or measured": finished <= made | {r.name for r in running},
            "nothing fails": status.count("failed") == 0,
        }
        self.lies += [f"{fact}: {status}" for fact, holds in facts.items() if not holds]

    def kill_one(self, is_ripe: Callable[[Path], bool]) -> str:
        """SIGKILL a worker in the middle of a run that is ripe for it; the name of that run."""
        while True:
            assert any(worker.poll() is None for worker in self.workers), self.log()
            for run in queue_status(self.wanted, self.home).runs:
                if run.state == "running" and is_ripe(self.home / run.name):
                    pid = int(run.worker.split(":")[1])
                    gone = [worker for worker in self.workers if worker.poll() is not None]
                    os.kill(pid, signal.SIGKILL)
                    while [worker for worker in self.workers if worker.poll() is not None] == gone:
                        time.sleep(0.01)  # a loaded machine takes its time
                    self.killed.add(pid)
                    return run.name
            time.sleep(0.01)

    def end(self) -> list[int]:
        """Wait for all workers; their exit codes."""
        codes = [worker.wait(timeout=600) for worker in self.workers]
        self.watcher.join()
        self.look()
        return codes

    def log(self) -> str:
        """What all workers said."""
        return "".join(log.read_text() for log in self.logs)


def has_checkpoint(folder: Path) -> bool:
    """Whether a training there can be taken up, and goes on."""
    return (folder / "checkpoint" / "state.json").exists()


def hold_to_a_single_worker(pool: Pool, taken_up: set[str], alone: Path, names: list[str]) -> None:
    """The pool made each run once, those of the killed from their checkpoints, with equal bytes."""
    assert pool.lies == []
    assert {run.state for run in pool.samples[-1].runs} == {"made"}
    begun = collections.Counter(re.findall(r"; folder \S+/(\S+)\n", pool.log()))
    assert begun == {item.name: 1 + (item.name in taken_up) for item in pool.wanted}, pool.log()
    assert pool.log().count("resuming after step") == len(taken_up)
    for item in pool.wanted:
        if item.name in names:
            arbench.run(**item.model_dump(exclude={"name"}), out=alone / item.name, device="cpu")
            one, other = (home / item.name / "model.safetensors" for home in (pool.home, alone))
            assert sha256_of(one) == sha256_of(other), item.name


def test_two_workers_share_a_queue_and_one_is_killed(
    tmp_path: Path, warm: Callable[[], list[str]]
) -> None:
    queue = queue_of(tmp_path, LONG.format(epochs=30), QUICK, QUICK)
    pool = Pool(queue, tmp_path / "shared", 2, warm())
    killed = pool.kill_one(has_checkpoint)
    codes = pool.end()
    assert sorted(code == 0 for code in codes) == [False, True], pool.log()
    assert killed == "a"
    hold_to_a_single_worker(pool, {killed}, tmp_path / "alone", names=[killed])
    assert {"waiting", "running", "made"} <= {r.state for s in pool.samples for r in s.runs}


@pytest.mark.slow  # four workers, and each of twelve trainings twice
def test_four_workers_share_twelve_runs_and_two_are_killed(
    tmp_path: Path, warm: Callable[[], list[str]]
) -> None:
    runs = [LONG.format(epochs=40) + f"seed = {seed}\n" for seed in range(12)]
    queue = queue_of(tmp_path, *runs)
    pool = Pool(queue, tmp_path / "shared", 4, warm())
    first = pool.kill_one(has_checkpoint)
    second = pool.kill_one(lambda folder: folder.name != first and has_checkpoint(folder))
    codes = pool.end()
    assert sorted(code == 0 for code in codes) == [False, False, True, True], pool.log()
    names = [item.name for item in pool.wanted]
    hold_to_a_single_worker(pool, {first, second}, tmp_path / "alone", names)


def test_who_was_taken_for_dead_writes_nothing_more(tmp_path: Path) -> None:
    """The lease's own word comes late, so the newer worker's note is what counts."""
    file = tmp_path / "result"

    def stopped_for_long() -> None:
        with Claims(tmp_path).claim("a", Reporter()) as claim:
            claim.begin()
            write_text(file, "mine")
            next((tmp_path / ".queue").glob("a.*.alive")).unlink()  # as on another machine
            (tmp_path / ".queue" / "a.rw").rename(tmp_path / "log")  # as if it had run out
            with Claims(tmp_path).claim("a", Reporter()) as other:
                other.begin()
                write_text(file, "theirs")
            write_text(file, "mine again")

    with pytest.raises(Held, match="another one has taken the run up"):
        stopped_for_long()
    assert file.read_text() == "theirs"
    note = Claims(tmp_path).note("a")
    assert note is not None
    assert note.state == "made"


def test_what_another_holds_is_left_alone(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, QUICK, QUICK)
    ours, theirs = Claims(tmp_path), Claims(tmp_path)
    with ours.claim("a", Reporter()) as claim:
        claim.begin()
        with pytest.raises(Held, match="a: another"), theirs.claim("a", Reporter()):
            pass
        with claim.bar("training") as advance:
            advance(0.25, "")
            time.sleep(2.1)  # notes are rarer than steps
            advance(0.5, "")
        first, second = queue_status(read_queue(queue), tmp_path).runs
        assert (first.state, first.stage, first.fraction) == ("running", "training", 0.5)
        assert first.left_s == pytest.approx(4.2, rel=0.5)  # half of it at that pace
        assert second.state == "waiting"
    with theirs.claim("a", Reporter()):
        pass


def test_a_run_that_goes_on_in_its_folder_is_waited_for(tmp_path: Path) -> None:
    """Somebody makes one run of the queue by hand, without knowing of it."""
    queue, home = queue_of(tmp_path, QUICK, QUICK), tmp_path / "runs"
    arbench.run("toy-markov", "bernoulli", limit=200, device="cpu", out=home / "a")
    (home / "a" / "record.json").unlink()
    said: list[str] = []

    class Listener(Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    locked = threading.Event()
    free = threading.Event()

    def hold() -> None:
        with RunFolder(home / "a").locked():
            locked.set()
            free.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(60)
    threading.Timer(1.0, free.set).start()
    made = arbench.run_queue(queue, out=home, device="cpu", reporter=Listener())
    holder.join()
    assert [run.path.name for run in made] == ["a", "b"]
    assert any(line.startswith("held    a run is going on in") for line in said)


def test_a_failure_is_known_to_every_worker_and_tried_again_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = '[[run]]\ntask = "table:nowhere.csv"\nmodel = "bernoulli"\n'
    queue, home = queue_of(tmp_path, gone, QUICK), tmp_path / "runs"
    arguments = ["queue", str(queue), "--out", str(home), "--device", "cpu"]
    with pytest.raises(RunError, match="1 of 2 runs failed: a"):
        arbench.run_queue(queue, out=home, device="cpu")
    capsys.readouterr()
    assert main([*arguments, "--worker"]) == 1  # one beside it, which has not tried it itself
    assert "nowhere.csv" not in capsys.readouterr().err
    assert main(arguments) == 1
    assert "failed  a: nowhere.csv" in capsys.readouterr().err
    assert main(["queue", "status", str(queue), "--out", str(home)]) == 0
    table = capsys.readouterr().out
    assert re.search(r"^a +failed", table, re.MULTILINE)
    assert "a: nowhere.csv" in table
    assert "1 made, 1 failed" in table


def test_workers_of_one_command(
    tmp_path: Path,
    warm: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python = tmp_path / "python"  # one that has imported torch already
    python.write_text(f'#!/bin/sh\nexec {shlex.join(warm())} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    gone = '[[run]]\ntask = "table:nowhere.csv"\nmodel = "bernoulli"\n'
    queue, home = queue_of(tmp_path, QUICK, gone, QUICK), tmp_path / "runs"
    arguments = ["queue", str(queue), "--out", str(home), "--device", "cpu", "--workers", "2"]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert {*re.findall(r"^\[(\d)\]", said, re.MULTILINE)} == {"1", "2"}
    assert said.count("failed  b: nowhere.csv") == 1
    assert "1 of 3 runs are not made: b: nowhere.csv" in said
    assert main(["queue", "status", str(queue), "--out", str(home), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["made"], status["failed"], status["done_s"]) == (2, 1, 0.0)
    for name in ("a", "c"):
        record = json.loads((home / name / "record.json").read_text())
        assert record["environment"]["threads"] == 1


def test_a_dead_worker_s_run_is_waiting_while_others_look_at_it(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, QUICK)
    claims = Claims(tmp_path)
    with claims.claim("a", Reporter()) as claim:
        claim.begin()
        note = (tmp_path / ".queue" / "a.note.json").read_text()
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead = json.loads(note) | {"pid": gone.pid}
    (tmp_path / ".queue" / "a.note.json").write_text(json.dumps(dead))
    assert [run.state for run in queue_status(read_queue(queue), tmp_path).runs] == ["waiting"]
    with claims.claim("a", Reporter()):  # which has not begun
        assert [run.state for run in queue_status(read_queue(queue), tmp_path).runs] == ["waiting"]
    elsewhere = dead | {"host": "another", "heard": time.time()}
    (tmp_path / ".queue" / "a.note.json").write_text(json.dumps(elsewhere))
    assert [run.state for run in queue_status(read_queue(queue), tmp_path).runs] == ["running"]


def test_a_dead_machine_holds_nothing_where_a_file_is_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file system has no locks, whoever died on another machine has left their files."""
    queue, home = queue_of(tmp_path, QUICK), tmp_path / "runs"

    def missing(file: int) -> bool:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("filelock._unix.lock_fd_nonblocking", missing)
    with Claims(home).claim("a", Reporter()) as claim:
        claim.begin()
    place = home / ".queue" / "a"
    note = json.loads(place.with_name("a.note.json").read_text())
    left = note | {"state": "running", "host": "another", "heard": 0.0}
    place.with_name("a.note.json").write_text(json.dumps(left))
    place.with_name("a.another.alive").write_text(f"{note['pid']}\nanother\n")
    (home / "a").mkdir()
    (home / "a" / ".lock").write_text(f"{note['pid']}\nanother\n1\n")
    with pytest.warns(UserWarning, match="flock not supported"):
        (made,) = arbench.run_queue(queue, out=home, device="cpu")
    assert made.record.status == "finished"


def test_when_it_will_be_done_follows_from_what_is_made(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, QUICK, QUICK, QUICK, QUICK)
    wanted = read_queue(queue)
    claims = Claims(tmp_path)
    assert queue_status(wanted, tmp_path).done_s is None
    (tmp_path / "a").mkdir()
    record = {"training": {"status": "finished", "seconds": 100.0}}
    (tmp_path / "a" / "record.json").write_text(json.dumps(record))
    assert queue_status(wanted, tmp_path).done_s is None  # nobody is at it
    with claims.claim("b", Reporter()) as first, claims.claim("c", Reporter()) as second:
        first.begin()
        second.begin()
        status = queue_status(wanted, tmp_path)
    # Two are at it, each for 100 s; the first that is free takes the last one.
    assert status.done_s == pytest.approx(200.0, abs=5)
    assert status.fraction == 0.25


def test_what_waits_takes_as_long_as_what_is_running_seems_to(tmp_path: Path) -> None:
    wanted = read_queue(queue_of(tmp_path, QUICK, QUICK))
    with Claims(tmp_path).claim("a", Reporter()) as claim:
        claim.begin()
        file = tmp_path / ".queue" / "a.note.json"
        note = json.loads(file.read_text()) | {"seconds": 30.0, "fraction": 0.5}
        file.write_text(json.dumps(note | {"remaining_s": 30.0}))
        assert queue_status(wanted, tmp_path).done_s == pytest.approx(30 + 60, abs=5)
        file.write_text(json.dumps(note))  # it cannot tell yet
        assert queue_status(wanted, tmp_path).done_s is None


@pytest.mark.slow  # trainings that are long enough to be stopped in the middle
def test_a_stop_signal_reaches_every_worker_and_the_same_command_goes_on(tmp_path: Path) -> None:
    queue, home = queue_of(tmp_path, *[LONG.format(epochs=100)] * 3), tmp_path / "runs"
    command = [sys.executable, "-m", "arbench", "queue", str(queue), "--out", str(home)]
    command += ["--device", "cpu", "--workers", "2"]
    supervisor = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while len([*home.glob("*/checkpoint/state.json")]) < 2:
        assert supervisor.poll() is None
        time.sleep(0.05)
    supervisor.send_signal(signal.SIGTERM)
    _, said = supervisor.communicate(timeout=120)
    assert supervisor.returncode == 128 + signal.SIGTERM, said
    assert said.count(b", with a checkpoint; continue with") == 2
    assert {run.state for run in queue_status(read_queue(queue), home).runs} == {"waiting"}
    again = subprocess.run(command, capture_output=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count(b"resuming after step") == 2


@pytest.mark.slow  # two processes that import torch
def test_processes_that_share_their_runs_are_one_worker(tmp_path: Path) -> None:
    queue, home = queue_of(tmp_path, *[LONG.format(epochs=1)] * 2), tmp_path / "runs"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*launcher, "-m", "arbench", "queue", str(queue), "--out", str(home)]
    done = subprocess.run([*command, "--device", "cpu"], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name in ("a", "b"):
        record = json.loads((home / name / "record.json").read_text())
        assert record["training"]["processes"] == 2


def test_a_place_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("filelock._soft_rw._storage.link_no_follow", refuse)
    claim = Claims(tmp_path).claim("a", Reporter())
    with pytest.raises(ConfigError, match="on a file system with hard links"), claim:
        pass
