"""Today's code and the baseline's, each in a process of its own, asked in turn."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
from cases import BASELINE, Case

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")
TODAY = "today"
_FEWEST, _MOST = 3, 9  # rounds
_LONG = 10  # seconds, beside which it matters little that a first call compiles


def python_of_baseline() -> Path:
    """The Python of an environment with the baseline's arbench; the first call makes it.

    It has all packages of this environment, and in place of today's arbench that of a checkout.

    Raises:
        LookupError: if the baseline's commit is not in the history that git has here.
    """
    # Plain lines: what is installed there to be edited, such as today's arbench, stays out.
    packages = [line for line in sys.path if line.endswith("site-packages")]
    cache = Path(platformdirs.user_cache_dir("arbench")) / "baseline"
    key = hashlib.sha256("\n".join([BASELINE, sys.executable, *packages]).encode()).hexdigest()
    folder = cache / key[:16]
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "whole").exists():
            return python
        archive = subprocess.run(
            ["git", "archive", "--format=tar", BASELINE, "arbench", "plugins", "tasks"],
            cwd=ROOT,
            capture_output=True,
        )
        if archive.returncode != 0:
            raise LookupError(
                f"the commit {BASELINE} is not in git's history here, so nothing can be "
                "compared with it: fetch the whole history (git fetch --unshallow)"
            )
        code = folder / "code"
        code.mkdir(exist_ok=True)
        subprocess.run(["tar", "-x", "-C", code], input=archive.stdout, check=True)
        venv.create(folder)
        scheme = {"base": str(folder), "platbase": str(folder)}
        site = Path(sysconfig.get_path("purelib", vars=scheme))
        lines = [str(code), str(code / "plugins"), str(code / "tasks"), *packages]
        (site / "baseline.pth").write_text("".join(f"{line}\n" for line in lines))
        (folder / "whole").touch()
    return python


class Worker:
    """A process that answers; see `worker`.

    Args:
        python: of its environment.
        num_threads: that it may use.
    """

    def __init__(self, python: Path | str, num_threads: int) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ARBENCH_K", "PYTHON"))}
        self.process = subprocess.Popen(
            [str(python), str(WORKER)],
            # A thread that has to wait sleeps, so that CPU time is work.
            env={**kept, "OMP_NUM_THREADS": str(num_threads), "OMP_WAIT_POLICY": "passive"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def end(self) -> None:
        """Let it end; it has nothing more to say."""
        self.process.communicate()

    def ask(self, case: Case, who: str, times: int) -> tuple[float, float]:
        """Seconds per call: of CPU time, and of the clock.

        Raises:
            RuntimeError: if the process has ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps([case.name, who, times]) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{case.name}: a worker of {who} ended; it says above why")
        cpu, clock = json.loads(line)
        return cpu, clock


@dataclass
class Contestant:
    """Somebody to be timed on one case, and the seconds per call of every round.

    Attributes:
        worker: asked.
        who: what it does: arbench's own code, or a peer's.
        times: calls per turn.
        seconds: of CPU time ("cpu") and by the clock ("wall").
    """

    worker: Worker
    who: str = "arbench"
    times: int = 1
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"cpu": [], "wall": []})


@contextlib.contextmanager
def workers(num_threads: int, *, peers: bool = True) -> Iterator[dict[str, Worker]]:
    """Processes of today's code, of the baseline's, and of peers if wanted, until the end."""
    pythons = {TODAY: sys.executable, BASELINE: python_of_baseline(), "peer": sys.executable}
    if not peers:
        del pythons["peer"]
    with contextlib.ExitStack() as stack:
        made = {name: Worker(python, num_threads) for name, python in pythons.items()}
        for worker in made.values():
            stack.callback(worker.end)
        yield made


def timed(
    case: Case, by_name: dict[str, Worker], seconds: float, turn_s: float = 0.25
) -> dict[str, Contestant]:
    """Everybody's seconds per call, in turns, so that what else the machine does concerns all.

    Args:
        case: what to do.
        by_name: of `workers`.
        seconds: about how long it may take; three rounds at least.
        turn_s: how long a turn takes, if one call is shorter.

    Returns:
        By name: today, the baseline, and the peer if the case has one.
    """
    contestants = {name: Contestant(by_name[name]) for name in (TODAY, BASELINE)}
    if case.peer is not None:
        contestants["peer"] = Contestant(by_name["peer"], case.peer)
    round_s = 0.0
    for each in contestants.values():
        _, clock = each.worker.ask(case, each.who, 1)  # to warm up
        if clock < _LONG:
            _, clock = each.worker.ask(case, each.who, 1)
        each.times = max(1, round(turn_s / clock))
        round_s += each.times * clock
    for number in range(min(_MOST, max(_FEWEST, int(seconds / round_s)))):
        # Who comes first changes, as the first may find caches as the last left them.
        for each in [*contestants.values()][:: 1 if number % 2 == 0 else -1]:
            cpu, clock = each.worker.ask(case, each.who, each.times)
            each.seconds["cpu"].append(cpu)
            each.seconds["wall"].append(clock)
    return contestants
