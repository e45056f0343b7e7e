"""Published numbers from papers, with their sources; shown beside ours, never ranked."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Literal

from arbench.data.units import nats_per
from arbench.probability.bits import in_nats
from arbench.show.tables import Table

if TYPE_CHECKING:
    from arbench.runs.record.record import Record


@dataclass(frozen=True)
class PublishedResult:
    """One row of `leaderboards/published.tsv`.

    Attributes:
        task: our name of the task.
        model: what the paper calls the model.
        our_model: the name of the same model here, empty when there is none.
        value: test negative log-likelihood.
        unit: of the value: "nats" per event, or "bits/dim", "nats/char" and the like.
        kind: "bound" for a bound and for an estimate by sampling, which latent variables need.
        paper: where it was first reported.
        year: of that paper.
        checked: whether the number was seen in the source itself.
        where: where it was seen.
        note: what a reader should know about it.
    """

    task: str
    model: str
    our_model: str
    value: float
    unit: str
    kind: Literal["exact", "bound"]
    paper: str
    year: int
    checked: bool
    where: str
    note: str

    def nats_per_dim(self, dims_per_event: float) -> float:
        """The value in nats per dim, which every unit can be turned into.

        Args:
            dims_per_event: scored dims of a test event, on average.
        """
        quantity, _, per = self.unit.partition("/")
        nats = in_nats(self.value) if quantity == "bits" else self.value
        return nats if per else nats / dims_per_event

    @property
    def source(self) -> str:
        """Where it comes from, in a line."""
        return f"{self.paper} ({self.year})"


@functools.cache
def published_results(task: str) -> tuple[PublishedResult, ...]:
    """The published results on a task, in the order of the file."""
    return tuple(result for result in _all_results() if result.task == task)


def published_tasks() -> list[str]:
    """The tasks that papers report numbers on."""
    return sorted({result.task for result in _all_results()})


@functools.cache
def _all_results() -> tuple[PublishedResult, ...]:
    file = resources.files("arbench.leaderboards") / "published.tsv"
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple(
        PublishedResult(
            task=row["task"],
            model=row["model"],
            our_model=row["our_model"],
            value=float(row["value"]),
            unit=row["unit"],
            kind="exact" if row["kind"] == "exact" else "bound",
            paper=row["paper"],
            year=int(row["year"]),
            checked=row["checked"] == "yes",
            where=row["where"],
            note=row["note"],
        )
        for row in csv.DictReader(lines, delimiter="\t")
    )


@dataclass(frozen=True)
class Beside:
    """A published result in the unit of a record.

    Attributes:
        nats: test nats, per symbol of a text, else per event.
        result: what was published.
    """

    nats: float
    result: PublishedResult


def nats_of(record: Record) -> float:
    """A record's test nats: per symbol of a text, else per event."""
    test = record.splits["test"]
    return test.total_nats / test.num_dims * dims_counted(record)


def nats_error_of(record: Record, split: Literal["validation", "test"] = "test") -> float | None:
    """The standard error of `nats_of`."""
    nll = record.splits[split]
    if nats_per(record.task.unit) == "event":
        return nll.standard_error_nats
    error = nll.standard_error_bits_per_dim
    return None if error is None else in_nats(error)


def dims_counted(record: Record) -> float:
    """How many dims `nats_of` is over: those of an event, or the one symbol of a text."""
    test = record.splits["test"]
    return test.num_dims / test.num_events if nats_per(record.task.unit) == "event" else 1.0


def beside(record: Record) -> list[Beside]:
    """The published results on a record's task, of its kind and in its unit, best first."""
    test = record.splits["test"]
    found = [
        Beside(r.nats_per_dim(test.num_dims / test.num_events) * dims_counted(record), r)
        for r in published_results(record.task.name)
        if r.kind == test.kind
    ]
    return sorted(found, key=lambda row: row.nats)


def neighbours(record: Record, count: int = 2) -> list[Beside]:
    """The checked published results nearest to a record's: up to `count` on either side."""
    own = nats_of(record)
    rows = [row for row in beside(record) if row.result.checked]
    better = [row for row in rows if row.nats <= own]
    return better[-count:] + rows[len(better) :][:count]


def published_table(record: Record) -> Table | None:
    """A record's test nats among the nearest published ones; None where either is missing."""
    near = neighbours(record) if "test" in record.splits else []
    if not near:
        return None
    rows = [(row.nats, row.result.model, row.result.source) for row in near]
    part = "" if record.limit is None else " (a part of the data)"
    rows.append((nats_of(record), record.model.name, f"this run{part}"))
    per = nats_per(record.task.unit)
    header, digits = ("test nats", 2) if per == "event" else (f"test nats/{per}", 4)
    cells = [(f"{nats:.{digits}f}", model, source) for nats, model, source in sorted(rows)]
    return Table("beside published numbers (not ranked)", (header, "model", "source"), cells)
