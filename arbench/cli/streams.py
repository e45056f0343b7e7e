"""Keeps standard output and error usable: odd locales, closed streams, full disks."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


def prepare_streams() -> None:
    """Make sure that no output error stops a command.

    Characters that the locale lacks become question marks. Output to a closed stream is dropped,
    and so is output that standard error cannot take, for instance because the disk is full: a lost
    message is no reason to lose a training. A full standard output is still an error.
    """
    if sys.stdout is None or sys.stderr is None:
        for descriptor in (0, 1, 2):  # else the next file that is opened would stand for it
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free: this one
        sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        encoding = sys.stderr.encoding
        sys.stderr = io.TextIOWrapper(
            _Heedless(sys.stderr.fileno()),
            encoding=encoding,
            errors="replace",
            write_through=True,
        )
        if sys.stderr.isatty():
            from arbench.cli.waiting import watch_terminal  # only a terminal needs it

            watch_terminal()


class _Heedless(io.RawIOBase):
    """Writes to a descriptor, and forgets what that does not take."""

    name = "<stderr>"

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether somebody sits there."""
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        """All of the data, as far as the descriptor is concerned."""
        rest = memoryview(data).cast("B")
        num_bytes = len(rest)
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        return num_bytes
