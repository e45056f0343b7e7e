"""The launcher `local`: workers on this machine, each a process that works at the whole queue."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable, Sequence
from queue import Empty, SimpleQueue

from arbench.runs.pool.launcher import Job, Launcher, Notice, Process


class Local(Launcher):
    """Processes on this machine, with one thread each unless OMP_NUM_THREADS says otherwise."""

    each = "worker"

    def __init__(self) -> None:
        self._processes: list[Process] = []
        self._notices: SimpleQueue[Notice] = SimpleQueue()

    def start(self, jobs: Sequence[Job], at_once: int | None) -> None:
        """Start all of them; what they say is handed on."""
        for job in jobs:
            if threads := os.environ.get("OMP_NUM_THREADS"):
                job = job.with_threads(int(threads))
            process = job.start(errors=subprocess.PIPE)
            self._processes.append(process)
            threading.Thread(target=self._listen, args=(job.name, process), daemon=True).start()

    def poll(self) -> Iterable[Notice]:
        """What they said, and how they ended."""
        while True:
            try:
                yield self._notices.get_nowait()
            except Empty:
                return

    def stop(self) -> None:
        """Let go of their leashes."""
        for process in self._processes:
            process.let_go()

    def close(self) -> None:
        """End those that are left."""
        self.stop()
        for process in self._processes:
            process.end()

    def _listen(self, name: str, process: Process) -> None:
        assert process.errors is not None
        for line in process.errors:
            self._notices.put(Notice(name, "said", line.decode(errors="replace").rstrip()))
        self._notices.put(Notice.of_exit(name, process.wait()))
