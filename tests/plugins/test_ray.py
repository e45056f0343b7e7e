"""The launcher `ray`: a real cluster on this machine, of which one node dies in the middle."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import arbench
from arbench.files.atomic import sha256_of
from arbench.runs.pool.claims import Note, read_note
from arbench.show.reporting import Reporter

# A cluster starts and ends, and its processes import torch.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LONG = """[[run]]
task = "toy-markov"
model = "fvsbn"
limit = 1000
epochs = 40
seed = [0, 1, 2]
settings = { alternative = "free", "training.checkpoint_seconds" = 0.1 }
"""
NAMES = [f"toy-markov-fvsbn.seed-{seed}" for seed in range(3)]
NODE = {
    "num_cpus": 1,
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "include_log_monitor": False,
}
# Ray's workers are nice by 15, which is to stand still where others work; and a dead node is to be
# missed within seconds.
SYSTEM = {
    "worker_niceness": 0,
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 5,
}


class Listener(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def making(home: Path, ppids: set[int]) -> Iterator[tuple[str, Note]]:
    """The runs that have a checkpoint, and are made by children of these processes."""
    for name in NAMES:
        note = read_note(home / ".queue" / name)
        is_ripe = (home / name / "checkpoint" / "state.json").exists()
        if note is not None and note.state == "running" and is_ripe:
            with contextlib.suppress(OSError):
                if parent_of(note.pid) in ppids:
                    yield name, note


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children_of(parent: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if parent_of(int(stat.parent.name)) == parent:
                found.add(int(stat.parent.name))
    return found


def test_a_node_dies_and_all_is_made_with_the_bytes_of_one_process(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    queue, home = tmp_path / "queue.toml", tmp_path / "shared"
    queue.write_text(LONG)
    killed: list[str] = []
    listener = Listener()
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "_system_config": SYSTEM})

    def kill() -> None:
        """As if the power had gone: first the run there stands still, then all is gone."""
        raylet = doomed.all_processes["raylet"][0].process.pid
        end = time.monotonic() + 240
        while not killed and time.monotonic() < end:
            for name, note in making(home, children_of(raylet)):
                os.kill(note.pid, signal.SIGSTOP)
                killed.append(name)
                cluster.remove_node(doomed, allow_graceful=False)
                os.kill(note.pid, signal.SIGKILL)
                break
            time.sleep(0.05)

    try:
        doomed = cluster.add_node(**NODE)
        killer = threading.Thread(target=kill)
        killer.start()
        launcher = f"ray?address={cluster.address}"
        options = {"out": home, "device": "cpu", "launcher": launcher, "lease": 2.0}
        made = arbench.run_queue(queue, reporter=listener, **options)  # type: ignore[arg-type]
        killer.join()
    finally:
        cluster.shutdown()
    said = "\n".join(listener.lines)
    assert killed, said
    assert re.search(rf"^\[{killed[0]}\] .*; started again$", said, re.MULTILINE), said
    assert [run.path.name for run in made] == NAMES
    arbench.run_queue(queue, out=tmp_path / "alone", device="cpu")
    for name in NAMES:
        log = (home / ".queue" / f"{name}.log").read_text()
        assert log.count("resuming after step") == (name in killed), log
        record = (home / name / "record.json").read_text()
        assert re.search(r'"threads": 1\b', record)
        one, other = (tmp_path / out / name / "model.safetensors" for out in ("shared", "alone"))
        assert sha256_of(one) == sha256_of(other), name


def test_a_stop_signal_leaves_checkpoints_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """By a Ray of its own, which ends with the command."""
    queue, home = tmp_path / "queue.toml", tmp_path / "runs"
    queue.write_text(LONG.replace("[0, 1, 2]", "[0]").replace("epochs = 40", "epochs = 400"))
    checkpoint = home / NAMES[0] / "checkpoint" / "state.json"

    def stop() -> None:
        end = time.monotonic() + 240
        while not checkpoint.exists() and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(arbench.Interrupted, match="the same command goes on") as raised:
        arbench.run_queue(queue, out=home, device="cpu", launcher="ray")
    stopper.join()
    assert raised.value.exit_code == 128 + signal.SIGTERM
    note = read_note(home / ".queue" / NAMES[0])
    assert note is not None
    assert note.state == "left"
    assert not Path(f"/proc/{note.pid}").exists()
    (made,) = arbench.run_queue(queue, out=home, device="cpu", launcher="ray?cpus=1")
    assert made.record.status == "finished"
    log = (home / ".queue" / f"{NAMES[0]}.log").read_text()
    assert log.count("resuming after step") == 1
