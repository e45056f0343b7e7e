"""The lock of the machine: whoever works shares it, and what is timed wants it alone."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

if sys.platform != "win32":
    import fcntl

# The file by which this process shares the lock, and how many blocks of it do.
_shared: list[int] = []


@contextlib.contextmanager
def at_work(*, alone: bool = False) -> Iterator[bool]:
    """Within, this process is known to work on this machine; waits while another is timed.

    The operating system lets go if the process dies. The lock is `arbench.lock` in the folder for
    temporary files, or what the environment variable ARBENCH_MACHINE_LOCK names.

    Args:
        alone: whether nobody else may begin meanwhile, because something is timed.

    Yields:
        Whether no other process of arbench is at work, if `alone` was asked for. It is not waited
        for: a training may last for days. True where the machine has no such locks.
    """
    file = _shared[0] if _shared else None
    if file is None and sys.platform != "win32":
        with contextlib.suppress(OSError):  # nowhere to write
            name = os.environ.get("ARBENCH_MACHINE_LOCK") or f"{tempfile.gettempdir()}/arbench.lock"
            # In such a folder nobody may create what is there and somebody else's.
            is_new = os.O_CREAT if not os.path.lexists(name) else 0
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | is_new, 0o644)
            fcntl.flock(file, fcntl.LOCK_SH)
    if file is None:
        yield True
        return
    _shared.append(file)
    is_alone = alone
    try:
        if alone:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                is_alone = False
                fcntl.flock(file, fcntl.LOCK_SH)  # which a failed change of locks may have lost
        yield is_alone
    finally:
        _shared.pop()
        if _shared:
            fcntl.flock(file, fcntl.LOCK_SH)
        else:
            os.close(file)
