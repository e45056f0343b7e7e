"""Ctrl-C and SIGTERM: stop in order at the first, at once at the second."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from arbench.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_ACKNOWLEDGEMENT = "stopping after this step; press Ctrl-C again to stop at once\n"


@dataclass
class StopSignal:
    """What has been heard meanwhile: the number of the first stop signal, or None."""

    received: int | None = None


@contextlib.contextmanager
def listening_for_stop() -> Iterator[StopSignal]:
    """Within, the first stop signal is acknowledged and remembered; the second ends at once."""
    stop = StopSignal()

    def hear(number: int) -> None:
        stop.received = number
        if os.environ.get("RANK", "0") == "0":  # several processes acknowledge once
            _acknowledge()

    with _first_signal(hear):
        yield stop


@contextlib.contextmanager
def stopping_at_once(says: Callable[[], str]) -> Iterator[None]:
    """Within, the first stop signal raises, wherever the work stands; the second ends at once.

    Args:
        says: what the error then says.

    Raises:
        Interrupted: at the signal, in the main thread.
    """

    def stop(number: int) -> None:
        raise Interrupted(says(), number)

    with _first_signal(stop):
        yield


@contextlib.contextmanager
def _first_signal(hear: Callable[[int], None]) -> Iterator[None]:
    """Within, the first stop signal is heard; the second does what it does by default."""
    # Only the main thread may set handlers; elsewhere the caller's own handling stays.
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        hear(number)

    previous = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _acknowledge() -> None:
    """Say so at once, past Python's buffers: a handler may interrupt a write to them."""
    # On a terminal, below the bar and the ^C.
    start = "\n" if os.isatty(_STDERR) else ""
    try:
        os.write(_STDERR, (start + _ACKNOWLEDGEMENT).encode())
    except OSError:
        return  # nobody listens, which is no reason to lose the checkpoint
