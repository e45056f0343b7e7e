"""Jobs that are lines of shell, for launchers: quick, and with their own way to end."""

from __future__ import annotations

from pathlib import Path

from arbench import Job

# What a run is to its launcher: it lasts until its leash ends, and leaves a checkpoint then;
# taken up from enough of them, it is done.
SITTINGS = """
stop() {{ touch {name}.checkpoint.$found; exit 143; }}
trap '' USR2
trap stop TERM
found=$(ls {name}.checkpoint.* 2> /dev/null | wc -l)
if [ $found -ge {wanted} ]; then echo $OMP_NUM_THREADS > {name}.done; exit 0; fi
touch {name}.begun
read leash
stop
"""


class Shell(Job):
    """A job whose only argument is a script of sh."""

    @property
    def command(self) -> tuple[str, ...]:
        """The shell and its script."""
        return ("sh", "-c", self.arguments[0])


def shell_job(folder: Path, name: str, script: str) -> Shell:
    """A job of this name that runs a script in a folder, and says what it says in a log there."""
    return Shell(name, (script,), {}, folder, folder / f"{name}.log")


def in_sittings(folder: Path, name: str, wanted: int) -> Shell:
    """A job that is done once it has been taken up from so many checkpoints."""
    return shell_job(folder, name, SITTINGS.format(name=name, wanted=wanted))
