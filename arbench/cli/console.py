"""What people see: a live bar with an ETA, and tables."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from arbench.boards.published import nats_error_of, nats_of, neighbours
from arbench.measure.likelihood import SplitRecord
from arbench.measure.speed import SpeedRecord
from arbench.measure.statistics.seeds import FEWEST_SEEDS, mean_over_seeds
from arbench.runs.record.record import ChecksRecord, Record
from arbench.show.record_notes import check_rows
from arbench.show.reporting import Advance, Reporter
from arbench.show.units import nats_per, with_error
from arbench.show.wording import duration_text

_SECONDS_BETWEEN_LINES = 60.0


class ConsoleReporter(Reporter):
    """Bars on a terminal; elsewhere, a line a minute and one when a stage ends."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)

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
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(
            *columns,
            console=self.console,
            auto_refresh=live,
            # What is not live has few steps, and long ones.
            speed_estimate_period=30.0 if live else 3600.0,
        ) as progress:
            row = progress.add_task(title, total=1.0, note="")
            yield lambda fraction, note: progress.update(
                row, completed=fraction, note=note, refresh=not live
            )


def print_result(console: Console, path: Path, record: Record) -> None:
    """The final table of a run: likelihood, speed, files and published neighbours."""
    console.print()
    fault = record.no_likelihood
    console.print(likelihood_table(record) if fault is None else Text(fault))
    if record.truth is not None:
        truth = record.truth
        console.print(
            f"true density {truth.true_nats_per_event:.4f} nats on these events; paired gap to it "
            f"{truth.gap_nats_per_event:.4f} ± {truth.standard_error_nats:.4f} nats"
        )
    if record.checks is not None:
        console.print(checks_text(record.checks), highlight=False)
    console.print(speed_table(record.sampling))
    published = published_table(record) if fault is None else None
    if published is not None:
        console.print(published)
    console.print(f"files: {path}", soft_wrap=True, highlight=False)
    for picture in sorted(path.glob("samples.*")):
        console.print(f"samples: {picture}", soft_wrap=True, highlight=False)


def seeds_summary(records: Sequence[Record]) -> str:
    """The number of a recipe from its seeds, in a line; empty if they have no test number."""
    if any("test" not in record.nll or record.no_likelihood for record in records):
        return ""
    values = [nats_of(record) for record in records]
    mean, error = mean_over_seeds(values, [nats_error_of(record) for record in records])
    digits = 3 if nats_per(records[0].task.unit) == "event" else 4
    about = "over its seeds and the test events" if len(records) >= FEWEST_SEEDS else "as they are"
    return (
        f"{len(records)} seeds: {with_error(mean, error, digits)} nats/"
        f"{nats_per(records[0].task.unit)} on test, {about}; from {min(values):.{digits}f} to "
        f"{max(values):.{digits}f}"
    )


def likelihood_table(record: Record) -> Table:
    """Nats and bits per dim with standard errors."""
    title = f"{record.model.name} on {record.task.name}"
    if record.limit is not None:
        title += f" (only the first {record.limit:,} events: not comparable)"
    table = Table(title=title, title_justify="left")
    unit = record.task.unit
    headers = ("split", f"nats/{nats_per(unit)}", f"bits/{escape(unit)}", "events", "likelihood")
    for header in headers:
        table.add_column(header, justify="left" if header == "split" else "right")
    for split, nll in record.nll.items():
        table.add_row(split, *split_cells(nll, unit))
    if notes := record.notes(escape):
        table.caption = " ".join(notes)
        table.caption_justify = "left"
    return table


def split_cells(nll: SplitRecord, unit: str) -> tuple[str, str, str, str]:
    """One split's numbers as table cells; `unit` is what a dim is called."""
    return (
        nll.nats_text(unit),
        nll.bits_text,
        f"{nll.num_events:,}",
        nll.kind,
    )


def checks_text(checks: ChecksRecord) -> str:
    """The checks of the trained model in one line."""
    rows = check_rows(checks.model_dump())
    found = "; ".join(f"{what} ({value}, at most {most})" for what, value, most, _ in rows)
    return f"checks: {found}"


def speed_table(rows: list[SpeedRecord]) -> Table:
    """Sampling speed by sampler and batch size; the times are for one batch."""
    table = Table(title="sampling speed", title_justify="left")
    for header in ("sampler", "device", "batch", "events/s", "median time", "IQR"):
        table.add_column(header, justify="left" if header in ("sampler", "device") else "right")
    for row in rows:
        table.add_row(
            escape(row.method) + (" (extrapolated)" if row.extrapolated else ""),
            escape(row.device),
            str(row.batch_size),
            f"{row.events_per_s:,.1f}",
            duration_text(row.median_s),
            duration_text(row.iqr_s) if row.repeats > 1 else "-",
        )
    return table


def published_table(record: Record) -> Table | None:
    """This run's test nats among the nearest published ones; None where either is missing."""
    if "test" not in record.nll:
        return None
    rows = [(row.nats, row.result.model, row.result.source) for row in neighbours(record)]
    if not rows:
        return None
    part = "" if record.limit is None else ", on a part of the data"
    rows.append((nats_of(record), f"{record.model.name} (this run{part})", ""))
    table = Table(title="beside published numbers (not ranked)", title_justify="left")
    per = nats_per(record.task.unit)
    header, digits = ("test nats", 2) if per == "event" else (f"test nats/{per}", 4)
    table.add_column(header, justify="right")
    table.add_column("model")
    table.add_column("source")
    for value, model, source in sorted(rows):
        own = source == ""
        table.add_row(f"{value:.{digits}f}", model, source, style="bold" if own else None)
    return table
