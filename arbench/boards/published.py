"""What stands on boards beside results, unranked: papers' numbers, and sizes by compressors."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Literal

from arbench.data.units import dims_in, nats_per
from arbench.probability.bits import in_nats
from arbench.show.tables import Table

if TYPE_CHECKING:
    from arbench.runs.record.record import Record


COMPRESSORS = "compressors.tsv"
COMPRESSOR_COLUMNS = ("task", "data_sha256", "num_dims", "compressor", "num_bytes", "about")


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
        source: the paper where it was first reported, and its year, in a line.
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
    source: str
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
        return nats / (dims_in(per) if per else dims_per_event)


def published_tasks() -> list[str]:
    """The tasks that papers report numbers on."""
    return sorted({result.task for result in published_results()})


@functools.cache
def published_results(task: str | None = None) -> tuple[PublishedResult, ...]:
    """The published results on a task, or on every one, in the order of the file."""
    if task is not None:
        return tuple(result for result in published_results() if result.task == task)
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
            source=f"{row['paper']} ({row['year']})",
            checked=row["checked"] == "yes",
            where=row["where"],
            note=row["note"],
        )
        for row in csv.DictReader(lines, delimiter="\t")
    )


@dataclass(frozen=True)
class CompressedTest:
    """One row of `leaderboards/compressors.tsv`, which `scripts/compress_tests.py` makes.

    Attributes:
        task: its name.
        data_sha256: of the task's events.
        num_dims: scored dims of the test split.
        compressor: its name.
        num_bytes: of the test split, compressed.
        about: what it was given, and its settings.
    """

    task: str
    data_sha256: str
    num_dims: int
    compressor: str
    num_bytes: int
    about: str

    @property
    def nats_per_dim(self) -> float:
        """The size as a negative log-likelihood."""
        return in_nats(8 * self.num_bytes) / self.num_dims


def compressed_tests(data_sha256: str, num_dims: int) -> list[CompressedTest]:
    """The sizes of a test split, in the order of the file.

    Args:
        data_sha256: of the data that it belongs to.
        num_dims: of the test split that was evaluated; a part of it has no sizes.
    """
    return [row for row in compressed_of(data_sha256) if row.num_dims == num_dims]


def compressed_of(data_sha256: str) -> list[CompressedTest]:
    """The sizes of all parts of the test split of some data."""
    return [row for row in _compressed() if row.data_sha256 == data_sha256]


@functools.cache
def _compressed() -> tuple[CompressedTest, ...]:
    text = (resources.files("arbench.leaderboards") / COMPRESSORS).read_text(encoding="utf-8")
    return tuple(
        CompressedTest(
            task=row["task"],
            data_sha256=row["data_sha256"],
            num_dims=int(row["num_dims"]),
            compressor=row["compressor"],
            num_bytes=int(row["num_bytes"]),
            about=row["about"],
        )
        for row in csv.DictReader(text.splitlines(), delimiter="\t")
    )


def nats_of(record: Record, nats_per_dim: float | None = None) -> float:
    """Test nats as `nats_per` says: per symbol of a text, step of music, or event.

    Args:
        record: with a test split.
        nats_per_dim: somebody else's on the same events; None for the record's own.
    """
    test = record.splits["test"]
    per_dim = test.total_nats / test.num_dims if nats_per_dim is None else nats_per_dim
    is_per_event = nats_per(record.task.unit) == "event"
    per = test.num_dims / test.num_events if is_per_event else dims_in(nats_per(record.task.unit))
    return per_dim * per


def nats_error_of(record: Record, split: Literal["validation", "test"] = "test") -> float | None:
    """The standard error of `nats_of`."""
    nll = record.splits[split]
    if nats_per(record.task.unit) == "event":
        return nll.standard_error_nats
    error = nll.standard_error_bits_per_dim
    return None if error is None else in_nats(error) * dims_in(nats_per(record.task.unit))


def beside(record: Record) -> list[tuple[float, PublishedResult]]:
    """The published results on a record's task that are of its kind, best first.

    Each comes with its nats, in the unit of `nats_of`.
    """
    test = record.splits["test"]
    dims_per_event = test.num_dims / test.num_events
    found = [
        (nats_of(record, result.nats_per_dim(dims_per_event)), result)
        for result in published_results(record.task.name)
        if result.kind == test.kind
    ]
    return sorted(found, key=lambda row: row[0])


def published_table(record: Record, count: int = 2) -> Table | None:
    """A record's test nats among the nearest published ones; None where either is missing.

    Args:
        record: of a run.
        count: how many checked ones at most on either side.
    """
    if "test" not in record.splits or record.no_likelihood:
        return None
    own = nats_of(record)
    checked = [(nats, row.model, row.source) for nats, row in beside(record) if row.checked]
    place = sum(nats <= own for nats, _, _ in checked)
    rows = checked[max(place - count, 0) : place + count]
    if not rows:
        return None
    part = "" if record.limit is None else " (a part of the data)"
    rows.append((own, record.model.name, f"this run{part}"))
    per = nats_per(record.task.unit)
    header, digits = ("test nats", 2) if per == "event" else (f"test nats/{per}", 4)
    cells = [(f"{nats:.{digits}f}", model, source) for nats, model, source in sorted(rows)]
    return Table("beside published numbers (not ranked)", (header, "model", "source"), cells)
