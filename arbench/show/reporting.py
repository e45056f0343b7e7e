"""The interface through which a run reports progress; the silent reporter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

Advance = Callable[[float, str], None]


class Reporter:
    """Says nothing. The command line shows a live bar instead."""

    def say(self, text: str) -> None:
        """One line of plain text."""

    @contextlib.contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        """A progress bar: call the result with (fraction done in [0, 1], short note).

        Where something is timed it is not `live`: drawn when it is told of progress, and only then.
        """
        yield lambda fraction, note: None
