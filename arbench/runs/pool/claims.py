"""Who makes which run of a queue: leases that a dead worker loses, and what workers say of it.

Beside the run folders lies `.queue`: for each run a lease, and a note of who makes it, how far it
is and how it ended. Leases are `filelock.SoftReadWriteLock`s: a log of generations made of hard
links, so that NFS suffices. (A `SoftFileLease` is taken over by an exchange of two names, which NFS
refuses: there the lease of a dead worker would be held for ever.)
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, SoftFileLockProtocolError, SoftReadWriteLock, Timeout
from pydantic import Field

from arbench.errors import CheckpointError, ConfigError, Held, Interrupted
from arbench.files.atomic import asking_leave, make_folder, write_text
from arbench.files.documents import Finite, Line, Part, read_document
from arbench.runs.folder import LOCK
from arbench.show.escaping import one_line
from arbench.show.reporting import Advance, Reporter

FOLDER = ".queue"
LEASE_S = 30.0
_BEATS = 6  # of a heart within the time of a lease
_GLANCE_S = 0.2  # longer than it takes others to look
_SECONDS_BETWEEN_NOTES = 2.0


class Note(Part):
    """What a worker last said of a run.

    Attributes:
        token: of the lease that it holds, a new one each time that the run is taken up.
        state: what became of it.
        host: the machine's name.
        pid: of the process there.
        heard: when this was written, Unix seconds.
        seconds: since it was taken up.
        stage: what is going on, such as "training"; empty at first.
        fraction: of that stage.
        remaining_s: seconds that the stage will take yet, None if nobody can say.
        error: why it failed.
    """

    schema_version: Literal[1] = 1
    token: Line
    state: Literal["running", "left", "made", "failed"]
    host: Line
    pid: int
    heard: Finite
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    stage: Line | Literal[""] = ""
    fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    remaining_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    error: str = ""


class Claim(Reporter):
    """A run that this worker holds; reports on it to whoever watches, and leaves notes of it.

    Args:
        place: where its note and its files are, without an ending.
        lease: held.
        reporter: who watches.

    Attributes:
        has_failed: whether another worker has just failed to make it.
    """

    def __init__(self, place: Path, lease: SoftReadWriteLock, reporter: Reporter) -> None:
        self._place, self._lease, self._reporter = place, lease, reporter
        self._token = secrets.token_hex(8)
        self._started = self._told = time.monotonic()
        self._stage, self._fraction = "", 0.0
        self._remaining_s: float | None = None
        self._is_begun = False
        before = read_note(place)
        self.has_failed = before is not None and before.state == "failed"

    def begin(self) -> None:
        """Take the run up; from here on nothing is written once it is another worker's."""
        self.note("running")
        self._is_begun = True

    def end(self, error: BaseException | None) -> None:
        """Say how it ended, if it had begun; a stop signal leaves it for another sitting."""
        if not self._is_begun or isinstance(error, Held):
            return
        if error is None:
            self.note("made")
        elif isinstance(error, Exception) and not isinstance(error, Interrupted):
            self.note("failed", str(error))
        else:
            self.note("left")

    def require(self) -> None:
        """Check that the run is still this worker's.

        Its lease says so only at the next heartbeat, and a process may have been stopped until now;
        the note says it at once, as whoever takes a run up begins with one of its own.

        Raises:
            Held: if another worker has taken it up.
        """
        if not self._is_begun:
            return
        found = read_note(self._place)
        if self._lease.compromise or found is None or found.token != self._token:
            raise Held(
                f"{self._place.parent.parent / self._place.name}: nothing was heard of this worker "
                "for the time of a lease, so another one has taken the run up; it goes on there"
            )

    def note(self, state: Literal["running", "left", "made", "failed"], error: str = "") -> None:
        """Say what became of the run, for every other worker and for `arbench queue status`."""
        said = Note(
            token=self._token,
            state=state,
            host=own_host(),
            pid=os.getpid(),
            heard=time.time(),
            seconds=time.monotonic() - self._started,
            stage=self._stage,
            fraction=self._fraction,
            remaining_s=self._remaining_s,
            error=one_line(error),
        )
        write_text(_note_path(self._place), json.dumps(said.model_dump(mode="json")) + "\n")

    def say(self, text: str) -> None:
        """One line of plain text, handed on."""
        self._reporter.say(text)

    @contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        """A bar, handed on; every few seconds a note says how far it is, but for what is timed."""
        begun, first = time.monotonic(), 0.0
        self._stage, self._fraction, self._remaining_s = title, 0.0, None
        with self._reporter.bar(title, live=live) as advance:

            def tell(fraction: float, text: str) -> None:
                nonlocal begun, first
                advance(fraction, text)
                now = time.monotonic()
                if not self._fraction:  # a training that is taken up begins in the middle
                    begun, first = now, fraction
                self._fraction = min(max(fraction, 0.0), 1.0)
                if not live or now - self._told < _SECONDS_BETWEEN_NOTES:
                    return
                self._told = now
                if fraction > first:
                    self._remaining_s = (now - begun) * (1 - self._fraction) / (fraction - first)
                self.note("running")

            yield tell


class Claims:
    """The runs of a queue below one folder, as one worker sees them.

    Args:
        home: the folder that holds the run folders.
        lease_s: how long a worker may be silent, in seconds, before another takes up what it holds.
            Workers may differ in it: nobody is taken for dead sooner than it said itself.
    """

    def __init__(self, home: Path, lease_s: float = LEASE_S) -> None:
        self.folder = home / FOLDER
        self._lease_s = lease_s
        # One object for each run: it knows since when it has seen no heartbeat.
        self._leases: dict[str, SoftReadWriteLock] = {}

    @contextmanager
    def claim(self, name: str, reporter: Reporter) -> Iterator[Claim]:
        """Hold a run; within, nothing of it is written once another worker has taken it up.

        Args:
            name: of the run.
            reporter: who watches it.

        Raises:
            Held: if another worker holds it.
            ConfigError: if the folder cannot be made or shared.
        """
        make_folder(self.folder)
        place = self.folder / name
        lease = self._leases.get(name) or SoftReadWriteLock(
            place,
            is_singleton=False,
            heartbeat_interval=self._lease_s / _BEATS,
            stale_threshold=self._lease_s,
        )
        self._leases[name] = lease
        try:
            # Whoever is alive on this machine shows it, however seldom its heart beats: the
            # operating system lets go of this one as soon as the process has ended.
            with FileLock(_alive_path(place), timeout=_GLANCE_S), _held(lease):
                _free_of_the_dead(place)
                claim = Claim(place, lease, reporter)
                with asking_leave(claim.require):
                    try:
                        yield claim
                    except BaseException as error:
                        claim.end(error)
                        raise
                    claim.end(None)
        except Timeout as error:
            raise Held(f"{name}: another worker makes it; looked at again later") from error

    def note(self, name: str) -> Note | None:
        """What was last said of a run; None if nothing was."""
        return read_note(self.folder / name)

    def is_alive(self, name: str) -> bool:
        """Whether a process of this machine holds a run, or looks at it just now."""
        place = self.folder / name
        if not _alive_path(place).exists():
            return False
        try:
            with FileLock(_alive_path(place), timeout=0):
                return False
        except Timeout:
            return True

    def forget_failure(self, name: str) -> None:
        """Let a run that failed be tried again."""
        note = self.note(name)
        if note is not None and note.state == "failed":
            _note_path(self.folder / name).unlink(missing_ok=True)


def read_note(place: Path) -> Note | None:
    """The note of a run, at its place without an ending; None if there is no readable one."""
    path = _note_path(place)
    if not path.exists():
        return None
    try:
        return read_document(path, Note, 1, CheckpointError, "")
    except CheckpointError:
        return None


def own_host() -> str:
    """The name of this machine, as notes have it."""
    return one_line(socket.gethostname())


def process_exists(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _note_path(place: Path) -> Path:
    return place.with_name(f"{place.name}.note.json")


def _alive_path(place: Path) -> Path:
    # One for each machine: where a file system has no locks, filelock makes do with the file's
    # being there, and a dead worker of another machine would hold it for ever.
    return place.with_name(f"{place.name}.{own_host()}.alive")


def _free_of_the_dead(place: Path) -> None:
    """Remove the lock of a run folder that the worker before left, where that is but a file.

    This worker has its lease by now, so it will write no more; see `Claim.require`.
    """
    lock, note = place.parent.parent / place.name / LOCK, read_note(place)
    if note is None or note.host == own_host() or not lock.exists():
        return  # whoever was of this machine is found out by filelock itself
    pid, _, rest = lock.read_text(errors="replace").partition("\n")
    if pid == str(note.pid) and rest.startswith(note.host):
        lock.unlink(missing_ok=True)


@contextmanager
def _held(lease: SoftReadWriteLock) -> Iterator[None]:
    try:
        lease.acquire_write(0)
    except (SoftFileLockProtocolError, PermissionError) as error:  # such as FAT's EPERM
        raise ConfigError(
            f"{lease.lock_file}: workers cannot share a queue there ({error}); choose another "
            "--out, on a file system with hard links"
        ) from error
    try:
        yield
    finally:
        lease.release()
