"""Atomic writes; sha256 of a file; checks `--out` before the work; full disks."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from arbench.errors import ConfigError, RunError

if sys.platform != "win32":
    import fcntl

_leave: ContextVar[Callable[[], None] | None] = ContextVar("leave", default=None)
_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def require_file(path: Path, name: str) -> None:
    """Check that a file can be written; ask before the work that fills it, which may take long.

    Args:
        path: the file.
        name: what a file in it could be called, if it turns out to be a folder.

    Raises:
        ConfigError: if it is a folder, the folder it lies in does not exist, or nobody may write.
    """
    if os.path.isdir(path):  # unlike Path.is_dir, it may lie where nobody may look
        raise ConfigError(f"{path}: is a folder; give a file in it, such as {path / name}")
    if not os.path.isdir(path.parent):
        raise ConfigError(f"{path}: the folder {path.parent} does not exist; create it first")
    # A new file takes the place of one that is there, so it is made in the folder all the same.
    places = (path, path.parent) if os.path.exists(path) else (path.parent,)
    if not all(os.access(place, os.W_OK) for place in places):
        raise ConfigError(f"{path}: you may not write there; choose another place")


def require_folder(folder: Path) -> None:
    """Check that files can be written into a folder, which may not be there yet.

    Raises:
        ConfigError: if it is a file, or lies in one, or nobody may write there.
    """
    place = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not place.is_dir():
        raise ConfigError(f"{place}: is no folder; choose another place")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: you may not write there; choose another place")


def make_folder(folder: Path) -> None:
    """Make a folder, with those it lies in, unless it is there already.

    Raises:
        ConfigError: if that cannot be, or no files can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        require_folder(folder)  # which names the usual reasons
        raise ConfigError(
            f"{folder}: cannot be made ({error.strerror}); choose another place"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: you may not write there; choose another place")


@contextlib.contextmanager
def asking_leave(ask: Callable[[], None]) -> Iterator[None]:
    """Within, `ask` is called before each write of this thread, and may raise to prevent it.

    Who works under a lease can lose it without a word; nothing is written into a folder that is
    somebody else's by then.
    """
    before = _leave.set(ask)
    try:
        yield
    finally:
        _leave.reset(before)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it is flushed and renamed on leaving.

    If the body fails, `path` is as it was and the temporary file is gone. That of a process which
    was killed goes when somebody else writes to `path`.

    Raises:
        ConfigError: if something is there that is no file: a rename would put a file in the place
            of a device such as /dev/null, for the whole machine if root does it.
        RunError: when the disk is full, with the path and the free space.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: is no file; choose another place to write to")
    remove_abandoned(path.parent, path.name)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with full_disk_named(path), contextlib.ExitStack() as stack:
            if sys.platform != "win32":  # a lock, by which others see that somebody is writing
                lock = stack.enter_context(open(temporary, "wb"))
                with contextlib.suppress(OSError):  # not every file system has locks
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            if ask := _leave.get():  # once more: writing may have taken long
                ask()
            os.replace(temporary, path)
            if os.name == "posix":  # elsewhere a rename cannot be made durable
                folder = os.open(path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files of processes that were killed while they wrote them.

    Who is alive holds a lock on the file; the operating system lets go of it. Where it has no such
    locks nothing is removed.

    Args:
        folder: where to look.
        name: of the file that was to be written; None for every file.
    """
    if sys.platform == "win32":
        return
    wanted = "*" if name is None else glob.escape(name)
    for temporary in folder.glob(f".{wanted}.tmp-[0-9]*"):
        with contextlib.suppress(OSError), open(temporary, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()


@contextlib.contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Within, `path` is written, in such a way that what was there before stays.

    Raises:
        RunError: when the disk is full, with the path and the free space.
    """
    if ask := _leave.get():
        ask()
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        free = shutil.disk_usage(path.parent).free
        raise RunError(
            f"{path}: the disk is full ({free / 1e6:.0f} MB free); what was there before is "
            "intact. Free some space and run the same command again (of a run: `arbench resume`)"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
