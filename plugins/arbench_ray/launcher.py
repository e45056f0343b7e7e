"""The launcher `ray`: each run is a task of Ray Core, with its own cpus, gpus and memory."""

from __future__ import annotations

import collections
import math
import os
import signal
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import ray
import ray.exceptions

from arbench import Job, Launcher, Notice, RunError

# Nothing is wrong with the run, so that it is taken up again elsewhere.
_LOSSES = (
    ray.exceptions.NodeDiedError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.LocalRayletDiedError,
    ray.exceptions.OutOfMemoryError,
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STORE_BYTES = 80 * 2**20  # nothing is sent but exit codes; Ray asks for 75 MiB at least


class RayLauncher(Launcher):
    """Tasks of a Ray cluster whose machines share the folder of the runs.

    Args:
        address: of a cluster, such as "auto" or "10.0.0.1:6379"; by default `RAY_ADDRESS`, and
            without that a Ray of its own on this machine, which ends with the queue.
        cpus: that a run needs, and its number of threads.
        gpus: that a run needs; a fraction shares one.
        memory_gb: that a run needs; Ray counts it, and limits nothing.
        minutes: after which a run writes a checkpoint and ends, for the next command.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        cpus: int = 1,
        gpus: float = 0,
        memory_gb: float | None = None,
        minutes: float | None = None,
    ) -> None:
        for name, value in (("cpus", cpus), ("gpus", gpus), ("memory_gb", memory_gb)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is 0 or more, got {value!r}")
        if cpus < 1:
            raise ValueError(f"cpus is at least 1, got {cpus!r}")
        if minutes is not None and not minutes > 0:
            raise ValueError(f"minutes is more than 0, got {minutes!r}")
        self.address = address or os.environ.get("RAY_ADDRESS") or "local"
        self.cpus = cpus
        self.seconds = math.inf if minutes is None else 60.0 * minutes
        options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus}
        if memory_gb is not None:
            options["memory"] = int(memory_gb * 2**30)
        # Ray's own retries know nothing of checkpoints, nor of who holds a run meanwhile.
        self._attend = ray.remote(max_retries=0, **options)(attend)
        self._waiting: collections.deque[Job] = collections.deque()
        self._running: dict[ray.ObjectRef[int], str] = {}
        self._notices: list[Notice] = []
        self._at_once = math.inf
        self._is_own = False

    def start(self, jobs: Sequence[Job], at_once: int | None) -> None:
        """Hand the jobs to Ray, which starts each when its resources are free."""
        if not ray.is_initialized():
            self._connect()
        self._at_once = at_once or math.inf
        self._waiting.extend(jobs)
        self._submit()

    def poll(self) -> Iterable[Notice]:
        """What has ended, and what was lost with its machine or its process."""
        if running := [*self._running]:
            ended, _ = ray.wait(running, num_returns=len(running), timeout=0)
            self._notices += [_notice(self._running.pop(task), task) for task in ended]
        self._submit()
        told, self._notices = self._notices, []
        return told

    def stop(self) -> None:
        """Cancel all tasks: each lets its process write a checkpoint before it ends."""
        self._notices += [Notice(job.name, "ended", "not started") for job in self._waiting]
        self._waiting.clear()
        for task in self._running:
            ray.cancel(task)

    def close(self) -> None:
        """Leave the cluster; Ray ends what is left there, and one of its own."""
        if self._is_own:
            ray.shutdown()

    def _connect(self) -> None:
        local: dict[str, Any] = {}
        if self.address == "local":
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            local = {
                "object_store_memory": _STORE_BYTES,
                "include_dashboard": False,
                "_system_config": {"worker_niceness": 0},  # it is 15 otherwise
            }
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        try:
            ray.init(self.address, log_to_driver=False, configure_logging=False, **local)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise RunError(f"ray: no cluster at {self.address}: {_first_line(error)}") from error
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in handlers.items():  # Ray puts its own in their place
                    signal.signal(number, handler)
        self._is_own = True

    def _submit(self) -> None:
        while self._waiting and len(self._running) < self._at_once:
            job = self._waiting.popleft()
            task = self._attend.options(name=job.name).remote(
                job.with_threads(self.cpus), self.seconds
            )
            self._running[task] = job.name


def _notice(name: str, task: ray.ObjectRef[int]) -> Notice:
    """How a task that is over has ended."""
    try:
        return Notice.of_exit(name, ray.get(task))
    except _LOSSES as error:
        return Notice(name, "lost", f"{type(error).__name__}: {_first_line(error)}")
    except ray.exceptions.TaskCancelledError:
        return Notice(name, "ended", "cancelled")
    except ray.exceptions.RayError as error:
        return Notice(name, "ended", f"{type(error).__name__}: {_first_line(error)}")


def attend(job: Job, seconds: float) -> int:
    """Run a job on the machine of this task; its exit code."""
    return job.attend(seconds=seconds)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
