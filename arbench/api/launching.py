"""Hands the jobs of a queue to a launcher, watches them, starts again what was lost."""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from arbench.api.keys import open_by_key
from arbench.errors import Interrupted
from arbench.files.atomic import make_folder
from arbench.registry.entries import LauncherEntry
from arbench.runs.pool.claims import FOLDER
from arbench.runs.pool.launcher import Job, Launcher, Notice
from arbench.runs.pool.status import queue_status
from arbench.runs.queue import QueuedRun
from arbench.show.reporting import Reporter
from arbench.training.signals import listening_for_stop

_SECONDS_BETWEEN_LOOKS = 0.5
MOST_LOSSES = 5  # of one job; a run that kills its process would do so for ever


def open_launcher(text: str) -> Launcher:
    """The launcher that a key means, such as `ray?cpus=4`, made with its settings.

    Raises:
        ConfigError: if no launcher has that name, it has no such setting or refuses its value, or
            what it needs is not installed.
        PluginError: if it cannot be loaded, or is no launcher.
    """
    return open_by_key(LauncherEntry, Launcher, text)  # type: ignore[type-abstract]


def jobs_of(
    launcher: Launcher,
    path: Path,
    names: Sequence[str],
    home: Path,
    device: str,
    workers: int | None,
    lease_s: float,
) -> list[Job]:
    """The jobs for a launcher: one for each run, or workers of them all.

    Args:
        launcher: says which.
        path: the queue file.
        names: of the runs to make.
        home: the folder of the run folders.
        device: where to train; for workers, "auto" and "cuda" deal out the GPUs that there are.
        workers: how many workers.
        lease_s: how long a worker may be silent.
    """
    home = home.resolve()
    if launcher.each == "worker":
        dealt = enumerate(devices_of(device, workers or 1), 1)
        own = {str(number): ["--device", each] for number, each in dealt}
    else:
        own = {name: ["--device", device, "--only", name] for name in names}
    queue = ["queue", str(path.resolve()), "--out", str(home), "--lease", str(lease_s)]
    settings = {name: value for name, value in os.environ.items() if name.startswith("ARBENCH_")}
    return [
        Job(
            name=name,
            arguments=(*queue, *arguments, "--worker", "--leash"),
            environment={**settings, "OMP_NUM_THREADS": "1"},
            folder=Path.cwd(),
            log=home / FOLDER / f"{name}.log",
        )
        for name, arguments in own.items()
    ]


def launch(
    launcher: Launcher,
    jobs: Sequence[Job],
    wanted: Sequence[QueuedRun],
    home: Path,
    workers: int | None,
    reporter: Reporter,
) -> None:
    """Let a launcher work at a queue, and wait until all its jobs have ended.

    A stop signal is handed on to it, once: each job writes a checkpoint and ends.

    Args:
        launcher: starts the jobs.
        jobs: to start.
        wanted: the runs of the queue, whose progress is shown.
        home: the folder of the run folders.
        workers: how many jobs may be at work at once; None leaves it to the launcher.
        reporter: receives their lines, each with the job's name, and the queue's progress.

    Raises:
        Interrupted: at a stop signal, once all have ended.
    """
    make_folder(home / FOLDER)
    watch = _Watch(launcher, {job.name: job for job in jobs}, workers, reporter)
    with listening_for_stop() as heard, reporter.bar("queue") as advance:
        try:
            launcher.start(jobs, workers)
            while watch.left:
                if heard and not watch.is_stopping:
                    watch.is_stopping = True
                    launcher.stop()
                for notice in launcher.poll():
                    watch.take(notice)
                status = queue_status(wanted, home)
                advance(status.fraction, status.summary)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            launcher.close()
    if heard:
        raise Interrupted(
            f"interrupted; the same command goes on with the queue in {home}", heard[0]
        )


class _Watch:
    """Which jobs are left, and what to do about what happens to them."""

    def __init__(
        self, launcher: Launcher, jobs: Mapping[str, Job], workers: int | None, reporter: Reporter
    ) -> None:
        self.launcher, self.jobs, self.workers, self.reporter = launcher, jobs, workers, reporter
        self.left, self.is_stopping = {*jobs}, False
        self.losses: collections.Counter[str] = collections.Counter()

    def take(self, notice: Notice) -> None:
        """Say what a notice says, and start again what was lost."""
        text = notice.text
        if notice.kind == "lost" and not self.is_stopping and self.losses[notice.job] < MOST_LOSSES:
            self.losses[notice.job] += 1
            text += "; started again"
            self.launcher.start([self.jobs[notice.job]], self.workers)
        elif notice.kind != "said":
            self.left.discard(notice.job)
        if text:
            self.reporter.say(f"[{notice.job}] {text}")


def devices_of(device: str, workers: int) -> list[str]:
    """The device of each worker: GPUs in turn where they are asked for and there are any."""
    num_gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return [f"cuda:{number % num_gpus}" if num_gpus else device for number in range(workers)]
