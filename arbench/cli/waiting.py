"""A line for a terminal on which nothing happens: the command is at work, and since when."""

from __future__ import annotations

import atexit
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_PATIENCE_S = 1.5
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERASED = "\r\x1b[K"


class Waiting:
    """Writes "working, 3 s" to a terminal that has been silent; other output takes the line away.

    It writes at the beginning of a line alone, so never over a bar or half a line of text.

    Args:
        show: writes to the terminal, past the streams that are watched.
        now: seconds of a clock.
    """

    def __init__(
        self, show: Callable[[str], Any], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._show, self._now = show, now
        self._began = self._last = now()
        self._line_begins, self._is_shown = True, False
        self._lock = threading.RLock()
        self._over = threading.Event()

    def start(self) -> None:
        """Look twice a second, in a thread that does not keep the process alive."""

        def keep_looking() -> None:
            while not self._over.wait(0.5):
                self.look()

        threading.Thread(target=keep_looking, daemon=True).start()

    def look(self) -> None:
        """Write the line if nothing was written for a while."""
        with self._lock:
            now = self._now()
            is_silent = self._line_begins and now - self._last >= _PATIENCE_S
            if is_silent and not self._over.is_set():
                self._show(f"{_ERASED}working, {now - self._began:.0f} s")
                self._is_shown = True

    def stop(self) -> None:
        """Take the line away; there will be no other."""
        with self._lock:
            self._over.set()
            self._notice("\n")

    def watch(self, stream: Any, *, ends: bool = False) -> None:
        """Notice what is written to a stream; with `ends`, that is the end of it."""
        write = stream.write

        def noticed(text: Any) -> Any:
            with self._lock:
                self._notice(text)
                if ends:
                    self._over.set()
                return write(text)

        stream.write = noticed

    def _notice(self, text: str) -> None:
        self._last = self._now()
        if self._is_shown:
            self._is_shown = False
            self._show(_ERASED)
        # A bar ends with a new line and an escape sequence that shows the cursor again.
        if text := _ESCAPE.sub("", text):
            self._line_begins = text.endswith("\n")


def watch_terminal() -> None:
    """Say on the terminal of standard error when this process has been silent for a while.

    Where standard output is a pipe, a reader such as `less` may have the terminal: the first that
    is written there is the end of it.
    """
    waiting = Waiting(sys.stderr.write)
    waiting.watch(sys.stderr)
    waiting.watch(sys.stdout, ends=not sys.stdout.isatty())
    atexit.register(waiting.stop)
    waiting.start()
