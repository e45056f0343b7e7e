"""Ctrl-C and SIGTERM: stop in order at the first, at once at the second."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from arbench.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_HEARD = threading.Event()
_ACKNOWLEDGEMENT = "stopping after this step; press Ctrl-C again to stop at once\n"


@contextlib.contextmanager
def listening_for_stop(at_once: Callable[[], str] | None = None) -> Iterator[list[int]]:
    """Within, the first stop signal is acknowledged and remembered; the second ends at once.

    Args:
        at_once: where given, the first one raises wherever the work stands, and this is what the
            error says.

    Yields:
        What was heard: nothing, or the number of the first signal.

    Raises:
        Interrupted: at the first signal, if it is to end the work at once; in the main thread.
    """
    heard: list[int] = []
    # Only the main thread may set handlers; elsewhere the caller's own handling stays.
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def hear(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        heard.append(number)
        _HEARD.set()
        if at_once is not None:
            raise Interrupted(at_once(), number)
        if os.environ.get("RANK", "0") == "0":  # several processes acknowledge once
            _acknowledge()

    previous = {number: signal.signal(number, hear) for number in _SIGNALS}
    try:
        yield heard
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop_when_it_ends(stream: int) -> None:
    """Take the end of a stream for a stop signal, from now on, unless there was one already.

    SIGUSR1 and SIGUSR2 are not heard from now on: SLURM tells every process of a job with one of
    them that its time is nearly over, and would end those that know nothing of it.

    Args:
        stream: a file descriptor that nobody else reads; whoever holds its other end may die.
    """

    def watch() -> None:
        while os.read(stream, 1024):
            pass
        if not _HEARD.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def _acknowledge() -> None:
    """Say so at once, past Python's buffers: a handler may interrupt a write to them."""
    # On a terminal, below the bar and the ^C.
    start = "\n" if os.isatty(_STDERR) else ""
    try:
        os.write(_STDERR, (start + _ACKNOWLEDGEMENT).encode())
    except OSError:
        return  # nobody listens, which is no reason to lose the checkpoint
