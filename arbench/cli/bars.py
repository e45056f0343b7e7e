"""A progress bar that fits its terminal: bar, time spent and time left are always there."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.text import Text

_SHORTEST, _LONGEST = 8, 30
# Percentage, time spent, "eta", time left, and spaces between those, title, bar and note.
_BESIDE = 4 + 7 + 3 + 7 + 6


def progress_of(console: Console, *, live: bool) -> Progress:
    """Title, bar, percentage, time spent, time left and the field "note" of what is going on.

    Args:
        console: where.
        live: also drawn between two calls, by a thread of its own.
    """
    return Progress(
        TextColumn("{task.description}"),
        _FittingBar(console),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        _FittingNote(console),
        console=console,
        auto_refresh=live,
        # What is not live has few steps, and long ones.
        speed_estimate_period=30.0 if live else 3600.0,
    )


class _FittingNote(ProgressColumn):
    """The note; in a narrow terminal without its last parts, which commas set apart."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> Text:
        """See `ProgressColumn.render`."""
        return Text(_note_of(task, self._console.width), no_wrap=True)


class _FittingBar(BarColumn):
    """A bar that takes what the note leaves it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> ProgressBar:
        """See `ProgressColumn.render`."""
        width = self._console.width
        room = width - len(task.description) - _BESIDE - len(_note_of(task, width))
        self.bar_width = max(_SHORTEST, min(_LONGEST, room))
        return super().render(task)


def _note_of(task: Task, width: int) -> str:
    parts = task.fields["note"].split(", ")
    room = width - len(task.description) - _BESIDE - _SHORTEST
    while parts and len(", ".join(parts)) > room:
        parts.pop()
    return ", ".join(parts)
