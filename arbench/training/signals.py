"""Ctrl-C and SIGTERM: stop in order at the first, at once at the second."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

from arbench.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_ACKNOWLEDGEMENT = "stopping after this step; press Ctrl-C again to stop at once\n"


class StopSignal:
    """While entered, remembers and acknowledges the first stop signal instead of dying of it.

    Attributes:
        received: the signal's number, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        # Only the main thread may set handlers; elsewhere the caller's own handling stays.
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        if os.environ.get("RANK", "0") == "0":  # several processes acknowledge once
            _acknowledge()


@contextlib.contextmanager
def stopping_at_once(says: Callable[[], str]) -> Iterator[None]:
    """Within, the first stop signal raises, wherever the work stands; the second ends at once.

    Args:
        says: what the error then says.

    Raises:
        Interrupted: at the signal, in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise Interrupted(says(), number)

    previous = {number: signal.signal(number, stop) for number in _SIGNALS}
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
