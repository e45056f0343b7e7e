"""Progress in a notebook: a bar that is drawn in its place again and again."""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from arbench.show.escaping import html
from arbench.show.reporting import Advance, Reporter

_SECONDS_BETWEEN = 0.25


class NotebookReporter(Reporter):
    """Draws bars below the cell that runs."""

    def say(self, text: str) -> None:
        """One line of plain text."""
        print(text)

    @contextlib.contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        """A bar with percentage, time spent, time left and a note; see `Reporter.bar`."""
        # A notebook alone has it, and it has no types.
        ipython: Any = importlib.import_module("IPython.display")
        began, drawn = time.monotonic(), -_SECONDS_BETWEEN
        handle = ipython.display(ipython.HTML(_bar_html(title, 0.0, "", 0.0)), display_id=True)

        def advance(fraction: float, note: str) -> None:
            nonlocal drawn
            spent = time.monotonic() - began
            if spent - drawn >= _SECONDS_BETWEEN or fraction >= 1:
                drawn = spent
                handle.update(ipython.HTML(_bar_html(title, fraction, note, spent)))

        yield advance
        last = _bar_html(title, 1.0, "", time.monotonic() - began)
        handle.update(ipython.HTML(last))


def usual_reporter() -> Reporter:
    """Bars in a notebook; nothing elsewhere."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    # A terminal's shell has no kernel.
    return NotebookReporter() if hasattr(shell, "kernel") else Reporter()


@contextlib.contextmanager
def progress_or_bar(
    progress: Callable[[int, int], None] | None,
) -> Iterator[Callable[[int, int], None] | None]:
    """What a sampler reports to: who was named, or in a notebook a bar, or nobody.

    Args:
        progress: called with (how much is done, how much there is); None for the usual one.
    """
    reporter = usual_reporter()
    if progress is not None or not isinstance(reporter, NotebookReporter):
        yield progress
        return
    with reporter.bar("sampling") as advance:
        yield lambda done, total: advance(done / total, "")


def _bar_html(title: str, fraction: float, note: str, spent: float) -> str:
    left = f", {spent / fraction - spent:.0f} s left" if 0 < fraction < 1 else ""
    more = f", {html(note)}" if note else ""
    return (
        f'<div>{html(title)} <progress value="{fraction:.3f}" max="1"></progress> '
        f"{fraction:.0%}, {spent:.0f} s{left}{more}</div>"
    )
