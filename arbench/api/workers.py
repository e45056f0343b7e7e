"""`arbench queue --workers N`: starts workers on this machine, watches them, hands signals on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch

from arbench.errors import Interrupted
from arbench.runs.pool.status import queue_status
from arbench.runs.queue import read_queue
from arbench.show.reporting import Reporter
from arbench.training.signals import listening_for_stop

_SECONDS_BETWEEN_LOOKS = 0.5


def start_workers(
    path: Path, home: Path, device: str, workers: int, lease_s: float, reporter: Reporter
) -> None:
    """Start workers on a queue and wait until all have ended; their lines are handed on.

    A stop signal is handed on to them, once: each writes a checkpoint and ends.

    Args:
        path: the queue file.
        home: the folder of the run folders.
        device: where to train; "auto" and "cuda" deal out the GPUs that there are.
        workers: how many.
        lease_s: how long a worker may be silent.
        reporter: receives their lines, each with the worker's number, and the queue's progress.

    Raises:
        Interrupted: at a stop signal, once all have ended.
    """
    wanted = read_queue(path)
    queue = [sys.executable, "-m", "arbench", "queue", str(path), "--out", str(home), "--worker"]
    children = [
        subprocess.Popen(
            [*queue, "--lease", str(lease_s), "--device", own],
            env={"OMP_NUM_THREADS": "1", **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a Ctrl-C on the terminal reaches them through this process
        )
        for own in devices_of(device, workers)
    ]
    readers = [
        threading.Thread(target=_hand_on, args=(child, number, reporter), daemon=True)
        for number, child in enumerate(children, 1)
    ]
    for reader in readers:
        reader.start()
    with listening_for_stop() as heard, reporter.bar("queue") as advance:
        is_handed_on = False
        while any(child.poll() is None for child in children):
            if heard and not is_handed_on:
                is_handed_on = True
                for child in children:
                    if child.poll() is None:
                        child.send_signal(heard[0])
            status = queue_status(wanted, home)
            advance(status.fraction, status.summary)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        status = queue_status(wanted, home)
        advance(status.fraction, status.summary)
    for reader in readers:
        reader.join()
    if heard:
        raise Interrupted(
            f"interrupted; the same command goes on with the queue in {home}", heard[0]
        )


def devices_of(device: str, workers: int) -> list[str]:
    """The device of each worker: GPUs in turn where they are asked for and there are any."""
    num_gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return [f"cuda:{number % num_gpus}" if num_gpus else device for number in range(workers)]


def _hand_on(child: subprocess.Popen[str], number: int, reporter: Reporter) -> None:
    """Say what a worker says, and how it ended if that was not in order."""
    assert child.stderr is not None
    for line in child.stderr:
        reporter.say(f"[{number}] {line.rstrip()}")
    if child.wait() < 0:
        reporter.say(f"[{number}] was killed by signal {-child.returncode}; others take its run up")
