"""The launcher `slurm`: an array job with an element for each run, by submitit."""

from __future__ import annotations

import collections
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import submitit
from submitit.core.utils import FailedSubmissionError, UncompletedJobError

from arbench import Job, Launcher, Notice, RunError
from arbench_slurm.work import Work

_MOST_TIMEOUTS = 10_000  # of one run, each of which leaves a checkpoint
_MOST_AT_ONCE = 1000  # where nobody says; a cluster has limits of its own
_SECONDS_BETWEEN_LOOKS = 2.0
_FOLDER = "slurm"  # of what submitit writes


class SlurmLauncher(Launcher):
    """Elements of an array job; whoever is near its time limit writes a checkpoint and is requeued.

    Args:
        minutes: the time limit of an element. A run that takes longer takes several.
        signal_seconds: how long before that limit a run is told to write its checkpoint.
        cpus: that a run needs, and its number of threads.
        gpus: that a run needs.
        memory_gb: that a run needs; by default what the cluster gives.
        sbatch: more options of `sbatch`, such as {"partition": "gpu", "account": "lab"}.
        cluster: "slurm"; "local" tries the same on this machine, without SLURM.
    """

    def __init__(
        self,
        *,
        minutes: float = 60,
        signal_seconds: int = 120,
        cpus: int = 1,
        gpus: int = 0,
        memory_gb: float | None = None,
        sbatch: Mapping[str, str | int | bool] | None = None,
        cluster: Literal["slurm", "local"] = "slurm",
    ) -> None:
        if not 0 < signal_seconds < 60 * minutes:
            raise ValueError(
                f"a run of {minutes} minutes cannot be told {signal_seconds} s before its end; "
                "signal_seconds is at least 1, and less than that time"
            )
        if cluster not in ("slurm", "local"):
            raise ValueError(f"cluster is slurm or local, got {cluster!r}")
        self.minutes, self.signal_seconds, self.cpus, self.gpus = (
            minutes,
            signal_seconds,
            cpus,
            gpus,
        )
        self.memory_gb, self.sbatch, self.cluster = memory_gb, dict(sbatch or {}), cluster
        self._waiting: collections.deque[Job] = collections.deque()
        self._submitted: dict[str, submitit.Job[int]] = {}
        self._at_once: int | None = None
        self._looked = 0.0

    def start(self, jobs: Sequence[Job], at_once: int | None) -> None:
        """Submit one array job for all of them."""
        self._at_once = at_once
        self._waiting.extend(jobs)
        self._submit()

    def poll(self) -> Iterable[Notice]:
        """What has ended, by its result, or by what SLURM says of it now and then."""
        if time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        for name, submitted in [*self._submitted.items()]:
            if submitted.done():
                del self._submitted[name]
                yield _notice(name, submitted)
        self._submit()
        self._looked = time.monotonic()

    def stop(self) -> None:
        """Cancel all elements: the SIGTERM for that has each write a checkpoint before it ends."""
        for submitted in self._submitted.values():
            submitted.cancel(check=False)

    def _submit(self) -> None:
        room = len(self._waiting)  # SLURM itself holds them back
        if self.cluster == "local":
            room = min(room, (self._at_once or os.cpu_count() or 1) - len(self._submitted))
        jobs = [self._waiting.popleft() for _ in range(room)]
        if not jobs:
            return
        works = [Work(job.with_threads(self.cpus), self.signal_seconds) for job in jobs]
        try:
            submitted = self._executor(jobs[0].log.parent / _FOLDER).submit_array(works)
        except (FailedSubmissionError, RuntimeError, OSError) as error:
            raise RunError(f"slurm: the jobs cannot be submitted: {error}") from error
        self._submitted |= {job.name: each for job, each in zip(jobs, submitted, strict=True)}

    def _executor(self, folder: Path) -> submitit.Executor:
        """Always with a time limit and a signal before it: submitit's own are too short."""
        if self.cluster == "local":
            executor: submitit.Executor = submitit.LocalExecutor(folder, _MOST_TIMEOUTS)
            executor.update_parameters(
                timeout_min=self.minutes,
                signal_delay_s=self.signal_seconds,
                gpus_per_node=self.gpus,
            )
            return executor
        executor = submitit.SlurmExecutor(folder, _MOST_TIMEOUTS)
        executor.update_parameters(
            job_name="arbench",
            time=math.ceil(self.minutes),
            signal_delay_s=self.signal_seconds,
            cpus_per_task=self.cpus,
            gpus_per_node=self.gpus or None,
            mem=None if self.memory_gb is None else f"{math.ceil(1024 * self.memory_gb)}M",
            array_parallelism=self._at_once or _MOST_AT_ONCE,
            additional_parameters=self.sbatch,
        )
        return executor


def _notice(name: str, submitted: submitit.Job[int]) -> Notice:
    """How a job that is over has ended."""
    if submitted.paths.result_pickle.exists():
        try:
            return Notice.of_exit(name, submitted.result())
        except UncompletedJobError as error:  # raised by what submitit does around the job
            return Notice(name, "lost", f"job {submitted.job_id}: {str(error).splitlines()[-1]}")
    state = submitted.state.upper()
    is_cancelled = state.startswith("CANCELLED")
    return Notice(name, "ended" if is_cancelled else "lost", f"job {submitted.job_id}: {state}")
