"""The live progress bar with its ETA; the end of a run: its tables or `--json`, and `--push`."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from arbench.boards.published import published_table
from arbench.show.pictures import pictures_of, shown_of
from arbench.show.record_tables import measured_tables
from arbench.show.reporting import Advance, Reporter
from arbench.show.tables import as_rich

if TYPE_CHECKING:
    from arbench.runs.experiment import Run

_SECONDS_BETWEEN_LINES = 60.0


@dataclass(eq=False)
class ConsoleReporter(Reporter):
    """Bars on a terminal; elsewhere, a line a minute and one when a stage ends.

    Attributes:
        console: where to.
    """

    console: Console = field(default_factory=partial(Console, stderr=True))

    def say(self, text: str) -> None:
        """One line of plain text."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        """A bar with percentage, time spent, time left and a note.

        Args:
            title: what is going on.
            live: also drawn between two calls, by a thread of its own; where something is timed,
                that would cost it time.
        """
        if not self.console.is_terminal:
            last, said = "", time.monotonic()

            def tell(fraction: float, note: str) -> None:
                nonlocal last, said
                last = f", {note}" if note else ""
                if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
                    said = time.monotonic()
                    self.say(f"{title}: {fraction:.0%}{last}")

            yield tell
            self.say(f"{title}: done{last}")
            return
        from arbench.cli.bars import progress_of  # only a terminal needs it

        with progress_of(self.console, live=live) as progress:
            row = progress.add_task(title, total=1.0, note="")
            yield lambda fraction, note: progress.update(
                row, completed=fraction, note=note, refresh=not live
            )


def conclude(run: Run, *, as_json: bool = False, push: str | None = None) -> None:
    """Print what a run ends with: its numbers, published ones beside them, its files; push it.

    Args:
        run: of several processes, only the main one prints.
        as_json: print the record alone, instead of tables.
        push: the user or organisation whose repository the run goes to; None for nobody's.
    """
    if not run.is_main:
        return
    if as_json:
        sys.stdout.write(run.record.to_json())
    else:
        console, record = Console(), run.record
        console.print()
        console.print(f"{record.model.name} on {record.task.name}", markup=False, highlight=False)
        tables = (*measured_tables(record.model_dump(mode="json")), published_table(record))
        for table in filter(None, tables):
            console.print(as_rich(table, console), crop=False)
        console.print(f"files: {run.path}", soft_wrap=True, highlight=False)
        for picture in sorted(run.path.glob("samples.*")):
            console.print(f"samples: {picture}", soft_wrap=True, highlight=False)
        sections = record.model_dump(mode="json")["measurements"]
        for key, files in pictures_of(run.path, sections).items():
            for file in shown_of(files):
                console.print(f"picture of {key}: {file}", soft_wrap=True, highlight=False)
    if push is not None:
        from arbench.hub.push import push_trained

        ConsoleReporter().say(f"on the Hub: {push_trained(run, push).url}")
