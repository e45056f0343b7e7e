"""A SLURM of one machine: sbatch, srun, sacct, scontrol and scancel, for the tests.

It runs the script that it is given, element by element, and does to it what SLURM does: before the
time limit and at it, every process of an element gets the signal, and not only the first. Time is
what the test says, by a file `near-its-end.ELEMENT` or `at-its-end.ELEMENT` in the SLURM's folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("sbatch", "srun", "sacct", "scontrol", "scancel")


@contextlib.contextmanager
def fake_slurm(home: Path, path: str) -> Iterator[str]:
    """Within, a `PATH` has the programs, and nothing that they started lives longer."""
    (home / "bin").mkdir(parents=True)
    (home / "state").mkdir()
    for name in PROGRAMS:
        program = home / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {name} {home} "$@"\n')
        program.chmod(0o755)
    try:
        yield f"{home / 'bin'}{os.pathsep}{path}"
    finally:
        for controller in home.glob("controller.*"):
            _signal_all(int(controller.suffix[1:]), signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def _signal_all(pid: int, number: int, *, but_first: int = 0) -> None:
    for each in descendants(pid)[but_first:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, number)


class Home:
    """What the programs know of jobs: a file for the state of each element."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.states = self.path / "state"

    def sbatch(self, script: str) -> None:
        """Start a controller for the script, and say its number as SLURM does."""
        number = str(100 + len([*self.path.glob("script.*")]))
        text = Path(script).read_text()
        (self.path / f"script.{number}").write_text(text)
        found = re.search(r"--array=0-(\d+)%(\d+)", text)
        names = [f"{number}_{n}" for n in range(int(found[1]) + 1)] if found else [number]
        for name in names:
            (self.states / name).write_text("PENDING")
        command = [sys.executable, "-S", __file__, "control", str(self.path), number]
        controller = subprocess.Popen(
            [*command, found[2] if found else "1", *names],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        (self.path / f"controller.{controller.pid}").touch()
        print(f"Submitted batch job {number}")

    def control(self, number: str, at_once: str, *names: str) -> None:
        """Run the elements of a job to their ends, so many at once."""
        waiting, running = [*names], dict[str, subprocess.Popen[bytes]]()
        while waiting or running:
            while waiting and len(running) < int(at_once):
                name = waiting.pop(0)
                if self.state(name).startswith("CANCELLED"):
                    continue
                running[name] = self.start(number, name)
                (self.states / name).write_text("RUNNING")
            for name, shell in [*running.items()]:
                if shell.poll() is not None:
                    del running[name]
                    if self.state(name) == "REQUEUED":
                        waiting.append(name)
                    elif self.state(name) == "RUNNING":
                        end = "FAILED" if shell.returncode else "COMPLETED"
                        (self.states / name).write_text(end)
                elif self.is_so("at-its-end", name) or self.state(name).startswith("CANCELLED"):
                    if self.state(name) == "RUNNING":
                        (self.states / name).write_text("TIMEOUT")
                    _signal_all(shell.pid, signal.SIGTERM, but_first=1)
                    time.sleep(1.0)
                    _signal_all(shell.pid, signal.SIGKILL)
                elif self.state(name) == "REQUEUED":
                    for pid in descendants(shell.pid):  # SLURM waits for 30 s, and then does this
                        with contextlib.suppress(ProcessLookupError):
                            if os.getsid(pid) != os.getsid(shell.pid):
                                os.kill(pid, signal.SIGKILL)
                elif self.is_so("near-its-end", name):
                    _signal_all(shell.pid, signal.SIGUSR2, but_first=1)
            time.sleep(0.05)

    def is_so(self, what: str, name: str) -> bool:
        """Whether the test says so of an element; said once."""
        said = self.path / f"{what}.{name}"
        if not said.exists():
            return False
        said.unlink()
        return True

    def start(self, number: str, name: str) -> subprocess.Popen[bytes]:
        """The shell of an element."""
        own = {"SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
        if "_" in name:
            own |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": name.split("_")[1]}
        script = self.path / f"script.{number}"
        return subprocess.Popen(["bash", str(script)], env={**os.environ, **own})

    def srun(self, *arguments: str) -> None:
        """Become the command, with its output where the options say."""
        words, files = [*arguments], dict[str, str]()
        while words[0].startswith("--"):
            option = words.pop(0)
            if option != "--unbuffered":
                files[option] = words.pop(0)
        element = (
            f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
            if ("SLURM_ARRAY_JOB_ID" in os.environ)
            else os.environ["SLURM_JOB_ID"]
        )
        for option, descriptor in (("--output", 1), ("--error", 2)):
            name = files[option].replace("%A_%a", element).replace("%j", element)
            opened = os.open(name.replace("%t", "0"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            os.dup2(opened, descriptor)
        os.execvp(words[0], words)

    def state(self, name: str) -> str:
        """Of an element."""
        return (self.states / name).read_text()

    def sacct(self, *arguments: str) -> None:
        """All elements that there are, whichever are asked for."""
        print("JobID|State|NodeList")
        for file in sorted(self.states.iterdir()):
            print(f"{file.name}|{file.read_text()}|here")

    def scontrol(self, verb: str, name: str) -> None:
        """Have an element start anew as soon as it has ended."""
        assert verb == "requeue"
        (self.states / name).write_text("REQUEUED")
        with open(self.path / "requeued", "a") as log:
            log.write(f"{name}\n")

    def scancel(self, name: str) -> None:
        """End an element, if that has not ended."""
        if self.state(name) in ("PENDING", "RUNNING", "REQUEUED"):
            (self.states / name).write_text("CANCELLED by 0")


if __name__ == "__main__":
    getattr(Home(sys.argv[2]), sys.argv[1])(*sys.argv[3:])
