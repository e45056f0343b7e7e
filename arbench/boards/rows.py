"""The data classes of a board: its rows and their speeds; the rows of papers and compressors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arbench.boards.published import (
    CompressedTest,
    PublishedResult,
    nats_of,
    published_results,
    published_tasks,
)
from arbench.data.units import dims_in, nats_per, unit_of
from arbench.probability.bits import Kind, in_bits
from arbench.registry.manager import registry
from arbench.registry.names import did_you_mean

if TYPE_CHECKING:
    from arbench.boards.results import Result
    from arbench.runs.record.record import Record

KINDS: tuple[Kind, ...] = ("exact", "density", "bound")


@dataclass(frozen=True)
class Speed:
    """How fast one sampler is on one device, at the batch size that suits it best."""

    method: str
    device: str
    machine: str
    batch_size: int
    events_per_s: float
    extrapolated: bool


@dataclass(frozen=True)
class Row:
    """One row of a board.

    Attributes:
        rank: 1 plus the number of results that are significantly better; None if published, or of a
            compressor.
        model: its name, and what sets it apart from others of that name.
        bits_per_dim: None for a density without bins.
        bits_error: its standard error; None without a rank, as all that follows but `nats`.
        nats: per symbol of a text, else per event; None where a paper has bits per dim and nobody
            says how many dims an event has.
        nats_error: its standard error, over events; over seeds, too, where there are three.
        still_growing: whether both errors are lower bounds; see `statistics.blocks`.
        num_seeds: over how many seeds of one recipe the numbers are means; 1 is a row of these
            weights. None without a rank.
        gap_nats: per event, to the true density of a synthetic task; None where nobody knows it.
        num_parameters: None if nobody says.
        training_s: how long it was trained.
        training_device: on what.
        speeds: of its samplers.
        status: "verified", "self-reported", "local", "published", "unchecked" or "compressor".
        source: the recipe, the class of a foreign density, a paper, or what a compressor was given.
        note: what a reader should know about a published number.
        run: the name of the user's own run, or of runs that differ in their seed; else empty.
        nats_sd: the standard deviation of nats over seeds; None unless there are several.
        group: letters; results share one where no test tells them apart. Empty without a rank.
        is_checked: whether the trained model was found to keep its promises at its own size.
        result: what the row shows; None without a rank, and where it was not read.
    """

    rank: int | None
    model: str
    bits_per_dim: float | None
    bits_error: float | None
    nats: float | None
    nats_error: float | None
    still_growing: bool
    num_seeds: int | None
    gap_nats: float | None
    num_parameters: int | None
    training_s: float | None
    training_device: str | None
    speeds: tuple[Speed, ...]
    status: str
    source: str
    note: str = ""
    run: str = ""
    nats_sd: float | None = None
    group: str = ""
    is_checked: bool = False
    result: Result | None = field(default=None, repr=False)

    @property
    def is_result(self) -> bool:
        """Whether somebody evaluated a density here; those alone have a rank."""
        return self.rank is not None

    @property
    def published(self) -> bool:
        """Whether it is a paper's number."""
        return self.status in ("published", "unchecked")

    @property
    def score(self) -> float:
        """What rows are ordered by: bits per dim, or nats where there are none."""
        value = self.nats if self.bits_per_dim is None else self.bits_per_dim
        assert value is not None  # every number is one or the other
        return value

    @property
    def score_error(self) -> float | None:
        """The standard error of the score."""
        return self.nats_error if self.bits_per_dim is None else self.bits_error

    def to_json(self) -> dict[str, Any]:
        """The row as plain values, for machines."""
        values = {name: value for name, value in vars(self).items() if name != "result"}
        return values | {"speeds": [vars(speed) for speed in self.speeds]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        """The row that `to_json` gave, without its result."""
        return cls(**{**values, "speeds": tuple(Speed(**speed) for speed in values["speeds"])})


@dataclass(frozen=True)
class Board:
    """The results on one task that can be compared.

    Attributes:
        task: its name.
        kind: of the numbers.
        unit: what one dim is called.
        data_sha256: of the events; None where there are published rows alone.
        rows: best first.
        data: what sets its data apart, if the task has results on several; else empty.
    """

    task: str
    kind: Kind
    unit: str
    data_sha256: str | None
    rows: tuple[Row, ...]
    data: str = ""

    @property
    def title(self) -> str:
        """Its task, its data where there are several, and its kind where that is not the usual."""
        kinds = {"exact": "", "density": ", densities", "bound": ", bounds and estimates"}
        data = f" ({self.data})" if self.data else ""
        return f"{self.task}{data}{kinds[self.kind]}"

    @property
    def key(self) -> str:
        """What tells it from every other board, for machines."""
        return "-".join([self.task, *re.findall("[A-Za-z0-9]+", self.data), self.kind])

    @property
    def num_results(self) -> int:
        """How many rows have a rank."""
        return sum(row.is_result for row in self.rows)

    @property
    def num_published(self) -> int:
        """How many rows are papers' numbers."""
        return sum(row.published for row in self.rows)

    @property
    def has_bits(self) -> bool:
        """Whether its numbers are probabilities, which have bits."""
        return any(row.bits_per_dim is not None for row in self.rows)

    @property
    def has_groups(self) -> bool:
        """Whether some of its results cannot be told apart; else ranks say all."""
        groups = [letter for row in self.rows for letter in row.group.split()]
        return len(groups) > len({*groups})

    @property
    def has_gap(self) -> bool:
        """Whether the true density is known."""
        return any(row.gap_nats is not None for row in self.rows)

    @property
    def measure(self) -> str:
        """What `Row.score` is, such as "bits/pixel"."""
        return f"bits/{self.unit}" if self.has_bits else f"nats/{nats_per(self.unit)}"

    def to_json(self) -> dict[str, Any]:
        """The board as plain values, for machines."""
        return vars(self) | {"rows": [row.to_json() for row in self.rows]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Board:
        """The board that `to_json` gave, without the results of its rows."""
        return cls(**{**values, "rows": tuple(map(Row.from_json, values["rows"]))})


def in_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows of a board, best first."""
    return tuple(sorted(rows, key=lambda row: (row.score, not row.is_result, row.model)))


def flat_rows(boards: Iterable[Board]) -> list[dict[str, Any]]:
    """The rows of boards as plain values, speeds as columns such as "step on cpu, events/s"."""
    rows = []
    for board in boards:
        about = {"task": board.task, "kind": board.kind, "unit": board.unit}
        for row in board.rows:
            values = about | row.to_json()
            for speed in values.pop("speeds"):
                values[f"{speed['method']} on {speed['device']}, events/s"] = speed["events_per_s"]
            rows.append(values)
    columns = dict.fromkeys(name for row in rows for name in row)
    return [columns | row for row in rows]


def published_boards(task: str, *, unchecked: bool = False) -> list[Board]:
    """The boards of a task that papers alone have numbers on."""
    rows = [r for r in published_results(task) if r.checked or unchecked]
    boards = []
    for kind in KINDS:
        if found := [r for r in rows if r.kind == kind]:
            unit = unit_of(found[0].unit.partition("/")[2]) or "dim"
            boards.append(Board(task, kind, unit, None, in_order(_alone(r) for r in found)))
    return boards


def no_board_text(task: str, with_results: set[str], left_out: Sequence[str]) -> str:
    """Why a task has no board, and what to do."""
    published = {*published_tasks()}
    if task in published:
        return (
            f"{task} has no result, and nobody has checked its published numbers in their source: "
            "--unchecked shows them"
        )
    if task in registry().tasks:
        because = f" (left out: {'; '.join(left_out)})" if left_out else ""
        return (
            f"there is no result on {task} yet{because}: `arbench run --task {task} --model MODEL` "
            "makes one, and --runs shows it"
        )
    tasks = sorted(with_results | published)
    return (
        f"there is no board of {task!r}{did_you_mean(task, tasks)}; there are: {', '.join(tasks)}"
    )


def published_row(published: PublishedResult, record: Record) -> Row:
    """A paper's row, in the units of a record on the same task."""
    test = record.splits["test"]
    nats = published.nats_per_dim(test.num_dims / test.num_events)
    bits = None if test.bits_per_dim is None else in_bits(nats)
    return _paper_row(published, bits, nats_of(record, nats))


def _alone(published: PublishedResult) -> Row:
    """A paper's row where no result says how many dims an event has: in its own unit alone."""
    per = published.unit.partition("/")[2]
    nats = published.nats_per_dim(1)
    known = not per or nats_per(per) == per or dims_in(per) > 1
    own = nats * dims_in(per) if known else None
    return _paper_row(published, in_bits(nats) if per else None, own)


def _paper_row(published: PublishedResult, bits: float | None, nats: float | None) -> Row:
    status = "published" if published.checked else "unchecked"
    return _unranked(published.model, bits, nats, status, published.source, published.note)


def compressor_row(compressed: CompressedTest, record: Record) -> Row:
    """A compressor's row, in the units of a record on the same events."""
    nats = compressed.nats_per_dim
    own = nats_of(record, nats)
    return _unranked(compressed.compressor, in_bits(nats), own, "compressor", compressed.about)


def _unranked(
    model: str, bits: float | None, nats: float | None, status: str, source: str, note: str = ""
) -> Row:
    return Row(
        rank=None,
        model=model,
        bits_per_dim=bits,
        bits_error=None,
        nats=nats,
        nats_error=None,
        still_growing=False,
        num_seeds=None,
        gap_nats=None,
        num_parameters=None,
        training_s=None,
        training_device=None,
        speeds=(),
        status=status,
        source=source,
        note=note,
    )
