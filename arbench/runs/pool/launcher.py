"""The contract of a launcher: it starts jobs somewhere, and tells how each of them ended.

What a run is, who makes it and what is taken up is the pool's: a job is a worker of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

_SECONDS_BETWEEN_LOOKS = 0.2
GRACE_S = 90.0


@dataclass(frozen=True)
class Job:
    """A process that a launcher starts: a worker of one run of a queue, or of all of them.

    Its standard input is its leash. When that ends, the job writes a checkpoint and ends too; so no
    job outlives who started it.

    Attributes:
        name: of its run; of a worker of all runs, its number.
        arguments: what follows `python -m arbench`.
        environment: variables that it needs beside those of the machine where it starts.
        folder: where it starts; paths in a queue file may be relative to it.
        log: a file for what it says, in the folder that all machines share.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path

    @property
    def command(self) -> tuple[str, ...]:
        """The program and its arguments, with the Python of whoever asks."""
        return (sys.executable, "-m", "arbench", *self.arguments)

    def with_threads(self, threads: int) -> Job:
        """This job with so many threads."""
        return replace(self, environment={**self.environment, "OMP_NUM_THREADS": str(threads)})

    def start(self, errors: int | None = None) -> Process:
        """The process, started here.

        Args:
            errors: where its messages go, such as `subprocess.PIPE`; by default to its log.
        """
        with open(self.log, "ab") as log:
            return Process(
                subprocess.Popen(
                    self.command,
                    cwd=self.folder,
                    env={**os.environ, **self.environment},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=log if errors is None else errors,
                    start_new_session=True,  # a Ctrl-C on the terminal is for the launcher alone
                )
            )

    def attend(self, *, seconds: float = float("inf"), grace_s: float = GRACE_S) -> int:
        """Start the process here and wait for its end, or end it, however this call itself ends.

        Args:
            seconds: after which it is ended, with a checkpoint.
            grace_s: seconds that it has for that before it is killed.

        Returns:
            Its exit code; minus the signal's number if one killed it.
        """
        process, end = self.start(), time.monotonic() + seconds
        try:
            # In steps: a task that Ray cancels hears of it between two lines of Python.
            while process.code is None and time.monotonic() < end:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            code = process.end(grace_s)
        return code


class Process:
    """A job that was started here, as the leader of a process group.

    Attributes:
        errors: what it says, if that was asked for.
        code: its exit code, minus the signal's number if one killed it; None while it is at work.
    """

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen, self.errors = popen, popen.stderr
        self.code: int | None = None
        # In a thread, so that a signal's handler may wait for the end while its own thread does.
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def _wait(self) -> None:
        self.code = self._popen.wait()

    def wait(self) -> int:
        """Wait for its end; its exit code."""
        self._waiter.join()
        assert self.code is not None
        return self.code

    def let_go(self) -> None:
        """Let go of its leash: it writes a checkpoint and ends."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()

    def end(self, grace_s: float = GRACE_S) -> int:
        """Let go of its leash, wait for its end, and kill what is left of its group.

        Args:
            grace_s: seconds that it has to write a checkpoint.

        Returns:
            Its exit code.
        """
        self.let_go()
        self._waiter.join(grace_s)
        with contextlib.suppress(ProcessLookupError):  # where all of them have ended
            os.killpg(self._popen.pid, signal.SIGKILL)
        return self.wait()


@dataclass(frozen=True)
class Notice:
    """What a launcher has to tell of a job.

    Attributes:
        job: its name.
        kind: "said": the text is a line of its own; "ended": the job is over, and its run stands as
            the pool has it; "lost": something took the job away, so it is to be started again.
        text: a line, why.
    """

    job: str
    kind: Literal["said", "ended", "lost"]
    text: str = ""

    @classmethod
    def of_exit(cls, job: str, code: int) -> Notice:
        """What an exit code means, as `Job.attend` has it: who was killed is lost."""
        if code < 0:
            return cls(job, "lost", f"killed by signal {-code}")
        return cls(job, "ended")


class Launcher(ABC):
    """Starts jobs somewhere; keyword arguments of its constructor are its settings.

    Attributes:
        each: what a job is to be: "run", one run of the queue; "worker", a worker of all runs.
    """

    each: ClassVar[Literal["run", "worker"]] = "run"

    @abstractmethod
    def start(self, jobs: Sequence[Job], at_once: int | None) -> None:
        """Start jobs, or hand them to what will; called again for those that were lost.

        Args:
            jobs: to start.
            at_once: how many may be at work at once; None: as many as there is room for.

        Raises:
            RunError: if that cannot be done.
        """

    @abstractmethod
    def poll(self) -> Iterable[Notice]:
        """What happened since the last call; does not wait. Every job ends or is lost once.

        Raises:
            RunError: if there is nobody left to ask.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ask every job to write a checkpoint and end; `poll` tells when each has ended."""

    def close(self) -> None:  # noqa: B027 - most have nothing to do
        """Let go of everything; called once, at the end, however it came."""
