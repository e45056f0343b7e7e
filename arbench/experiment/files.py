"""Files that are there whole or not at all: temporary file, flush, rename."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from arbench.errors import RunError

if sys.platform != "win32":
    import fcntl

_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it is flushed and renamed on leaving.

    If the body fails, `path` is as it was and the temporary file is gone. That of a process which
    was killed goes when somebody else writes to `path`.

    Raises:
        RunError: when the disk is full, with the path and the free space.
    """
    remove_abandoned(path.parent, path.name)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with full_disk_named(path), _held(temporary):
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
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
def _held(temporary: Path) -> Iterator[None]:
    """Make the file and hold a lock on it, by which others see that somebody is writing."""
    if sys.platform == "win32":
        yield
        return
    with open(temporary, "wb") as file:
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextlib.contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Within, `path` is written, in such a way that what was there before stays.

    Raises:
        RunError: when the disk is full, with the path and the free space.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        free = shutil.disk_usage(path.parent).free
        raise RunError(
            f"{path}: the disk is full ({free / 1e6:.0f} MB free); what was there before is "
            "intact. Free some space and run the same command again (a run: with --resume)"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where folders can be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
