"""Builds the board of any other measurement: its rows, ranks and columns.

A board has a column for each key, such as `detection?against=noise`. Where a number depends on the
machine, and where one result was measured on several, each machine has a column of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from arbench.boards.boards import TRUST, label_of
from arbench.boards.ranking import measured_ranks
from arbench.boards.results import Result, find_results
from arbench.boards.speeds import machine_of
from arbench.errors import ArbenchError, ConfigError
from arbench.measure.measurement import Measurement
from arbench.measure.opening import open_measurement, parse_key
from arbench.measure.result_sections import ResultSection
from arbench.measure.statistics.seeds import mean_over_seeds
from arbench.registry.names import did_you_mean
from arbench.runs.record.difference import names_apart
from arbench.runs.record.values import results_of, values_of
from arbench.runs.results.comparison import Answer


@dataclass(frozen=True)
class Column:
    """What the numbers below each other have in common.

    Attributes:
        key: of the results.
        machine: on which all of them were measured; None where that makes no difference.
    """

    key: str
    machine: str | None

    @property
    def label(self) -> str:
        """What tells it from the other columns."""
        return self.key if self.machine is None else f"{self.key} on {self.machine}"


@dataclass(frozen=True)
class Cell:
    """The number of one row in one column.

    Attributes:
        rank: 1 plus the number of results that are significantly better; None for a baseline, and
            where nobody can test it.
        value: the number; of several seeds the mean.
        error: its standard error.
        num_seeds: over how many seeds it is a mean; None for a baseline.
        machine: where it was measured; empty for a baseline.
    """

    rank: int | None
    value: float
    error: float | None
    num_seeds: int | None = None
    machine: str = ""


@dataclass(frozen=True)
class MeasuredRow:
    """One row of such a board.

    Attributes:
        model: its name and what sets it apart, or what a baseline is of.
        cells: one for each column; None where it was not measured so.
        num_parameters: None if nobody says.
        status: "verified", "self-reported", "local" or "baseline".
        source: the recipe, or the class of a foreign density; empty for a baseline.
        result: what the row shows; None for a baseline.
    """

    model: str
    cells: tuple[Cell | None, ...]
    num_parameters: int | None
    status: str
    source: str
    result: Result | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The row as plain values, for machines."""
        values = {name: value for name, value in vars(self).items() if name != "result"}
        return values | {"cells": [None if cell is None else vars(cell) for cell in self.cells]}


@dataclass(frozen=True)
class MeasuredBoard:
    """The results of one measurement on one task.

    Attributes:
        task: its name.
        measurement: its name.
        version: of the measurement.
        unit: of the numbers.
        better: which direction is.
        kind: of the density, where the measurement says that it matters; else empty.
        data_sha256: of the events.
        columns: at least one.
        rows: best first.
        notes: why a column is not ranked, a sentence each.
        about: what sets it apart from other boards of its task and measurement; else empty.
    """

    task: str
    measurement: str
    version: str
    unit: str
    better: Literal["lower", "higher"]
    kind: str
    data_sha256: str
    columns: tuple[Column, ...]
    rows: tuple[MeasuredRow, ...]
    notes: tuple[str, ...] = ()
    about: str = ""

    @property
    def title(self) -> str:
        """Task, measurement, unit and direction, and its data or version where there are others."""
        about = f" ({self.about})" if self.about else ""
        return f"{self.task}{about}: {self.measurement}, {self.unit} ({self.better} is better)"

    def to_json(self) -> dict[str, Any]:
        """The board as plain values, for machines."""
        return vars(self) | {
            "columns": [vars(column) for column in self.columns],
            "rows": [row.to_json() for row in self.rows],
        }


@dataclass(frozen=True, eq=False)
class _Entry:
    """One result of one run."""

    result: Result
    key: str
    section: ResultSection

    @property
    def machine(self) -> str:
        return machine_of(self.section.environment)

    @property
    def board(self) -> tuple[str, ...]:
        """Results that differ in it say different things, and are on different boards."""
        task, row = self.result.record.task, self.section.rows[0]
        kind = str(self.section.details.get("kind") or "")
        name = self.key.partition("?")[0]
        version = self.section.version
        return task.name, name, task.data_sha256, version, kind, row.unit, row.better or "lower"

    @property
    def row(self) -> str:
        """Seeds of one recipe are one row, and so are copies of one result."""
        record = self.result.record
        recipe = None if record.training is None else record.training.recipe_sha256
        return recipe or record.result_sha256 or ""

    @property
    def seed(self) -> int:
        training = self.result.record.training
        return 0 if training is None else training.seed

    @property
    def status(self) -> str:
        """As that of its run, which may be verified without this one: it is not judged, then."""
        status, verified = self.result.status, self.result.verified
        return "self-reported" if status == "verified" and self.key not in verified else status


def find_measured_boards(
    task: str | None = None, *, runs: Path | None = None, key: str | None = None
) -> tuple[list[MeasuredBoard], list[str]]:
    """The boards of all measurements but the first three, and which runs are on none and why.

    Args:
        task: its name; None for every task that has such a result.
        runs: a folder with runs of the user's own to show among the kept results.
        key: show this measurement alone: its name, or "name?setting=value" for one column.

    Raises:
        ConfigError: if nobody has such a number on that task, or there is no such folder.
    """
    kept, local, left_out = find_results(runs)
    results = [r for r in [*kept, *local] if task in (None, r.record.task.name)]
    boards = make_measured_boards(results, key=key)
    if key is not None and not boards:
        raise ConfigError(_no_board(key, task, results))
    return boards, left_out


def _no_board(key: str, task: str | None, results: Iterable[Result]) -> str:
    """Why a measurement has no board, and what to do."""
    on = "" if task is None else f" on {task}"
    there = {each.partition("?")[0] for r in results for each in r.record.measurements}
    others = {each.partition("?")[0] for r in results for each in results_of(r.record)}
    name, _ = parse_key(key)
    if name in there - others:
        return f"{name} has columns on the board of the likelihood: `arbench leaderboard`"
    return (
        f"there is no result of {key}{on}{did_you_mean(name, others)}; `arbench measure RUN {key}` "
        "makes one, and --runs shows it"
    )


def make_measured_boards(
    results: Iterable[Result], *, key: str | None = None
) -> list[MeasuredBoard]:
    """The boards of these results, one for each measurement but the first three.

    Args:
        results: in any order; copies of one result may be among them, measured elsewhere.
        key: only this measurement, or this column of it.
    """
    wanted = None if key is None else _wanted(key)
    entries = sorted(
        (
            _Entry(result, found, section)
            for result in results
            for found, section in results_of(result.record).items()
            if wanted is None or wanted in (found, found.partition("?")[0])
        ),
        key=lambda entry: entry.board,
    )
    groups = [[*group] for _, group in groupby(entries, lambda entry: entry.board)]
    boards = []
    for group in groups:
        others = [other[0].board for other in groups if other[0].board[:2] == group[0].board[:2]]
        boards.append(_board(group, _about(group[0], others)))
    return boards


def _wanted(key: str) -> str:
    """The key as records have it."""
    try:
        return open_measurement(key).key
    except ArbenchError:  # not installed here: its results are shown all the same
        return key.strip()


def _about(first: _Entry, boards: Sequence[tuple[str, ...]]) -> str:
    """What sets a board apart from others of its task and measurement."""
    _, _, data, version, kind, _, _ = first.board
    parts = [f"data {data[:8]}", f"version {version}", kind]
    differ = [len({board[place] for board in boards}) > 1 for place in (2, 3, 4)]
    return ", ".join(part for part, differs in zip(parts, differ, strict=True) if differs and part)


def _board(entries: Sequence[_Entry], about: str) -> MeasuredBoard:
    columns, notes = [], []
    cells: dict[tuple[str, Column], Cell] = {}
    rows: dict[str, list[_Entry]] = {}
    baselines: dict[tuple[str, Column], Cell] = {}
    first = entries[0]
    task, name, data, version, kind, unit, _ = first.board
    better: Literal["lower", "higher"] = first.section.rows[0].better or "lower"
    for key in sorted({entry.key for entry in entries}):
        own = [entry for entry in entries if entry.key == key]
        measurement, note = _measurement(key, version)
        for column in _columns(key, own, measurement):
            there = [e for e in own if column.machine in (None, e.machine)]
            columns.append(column)
            seeds = _by_row(there)
            placed, why = _ranks(measurement, [*seeds.values()])
            for (row, mine), rank in zip(seeds.items(), placed, strict=True):
                cells[row, column] = _cell(mine, rank)
                rows.setdefault(row, []).extend(mine)
            for entry in there:
                for base in entry.section.baselines:
                    if base.unit == unit:
                        cell = Cell(None, base.value, base.error)
                        baselines.setdefault((base.case, column), cell)
            notes += [f"{column.label} is not ranked: {each}" for each in (note or why,) if each]
    records = [mine[0].result.record for mine in rows.values()]
    labels = names_apart([label_of(record) for record in records], records)
    shown = [
        _row(mine, label, [cells.get((row, c)) for c in columns])
        for (row, mine), label in zip(rows.items(), labels, strict=True)
    ]
    shown += [
        MeasuredRow(case, tuple(baselines.get((case, c)) for c in columns), None, "baseline", "")
        for case in dict.fromkeys(case for case, _ in baselines)
    ]
    ordered = _in_order(shown, better)
    return MeasuredBoard(
        task, name, version, unit, better, kind, data, tuple(columns), ordered, tuple(notes), about
    )


def _measurement(key: str, version: str) -> tuple[Measurement | None, str]:
    """What results of a key are ranked by; else None, and why."""
    try:
        measurement = open_measurement(key)
    except ArbenchError as error:
        return None, str(error)
    if measurement.version != version:
        return None, f"it is of version {version}, and version {measurement.version} is installed"
    return measurement, ""


def _columns(key: str, entries: Sequence[_Entry], measurement: Measurement | None) -> list[Column]:
    """One for all machines, or one for each where they make a difference or stand beside others."""
    machines = {(entry.result.record.result_sha256, entry.machine) for entry in entries}
    several = len(machines) > len({result for result, _ in machines})
    if several or (measurement is not None and not measurement.reproducible):
        return [Column(key, machine) for machine in sorted({entry.machine for entry in entries})]
    return [Column(key, None)]


def _by_row(entries: Iterable[_Entry]) -> dict[str, list[_Entry]]:
    """The entries of a column by row, each seed once: the first of its copies stands for it."""
    found: dict[str, dict[int, _Entry]] = {}
    for entry in entries:
        found.setdefault(entry.row, {}).setdefault(entry.seed, entry)
    return {row: [seeds[seed] for seed in sorted(seeds)] for row, seeds in found.items()}


def _ranks(
    measurement: Measurement | None, rows: Sequence[Sequence[_Entry]]
) -> tuple[list[int] | list[None], str]:
    """The rank of each row, or None for all of them and why."""
    if measurement is None:
        return [None] * len(rows), ""
    if not all(entry.section.num_values for seeds in rows for entry in seeds):
        return [None] * len(rows), "it leaves no values of single events that could be paired"
    answers = [
        [
            Answer(
                str(entry.result.log_probs),
                entry.result.record,
                entry.section,
                values_of(entry.section, measurement, entry.result.log_probs),
            )
            for entry in seeds
        ]
        for seeds in rows
    ]
    return measured_ranks(measurement, answers), ""


def _cell(seeds: Sequence[_Entry], rank: int | None) -> Cell:
    numbers = [entry.section.rows[0] for entry in seeds]
    value, error = mean_over_seeds([n.value for n in numbers], [n.error for n in numbers])
    machines = ", ".join(dict.fromkeys(entry.machine for entry in seeds))
    return Cell(rank, value, error, len(seeds), machines)


def _row(entries: Sequence[_Entry], label: str, cells: Sequence[Cell | None]) -> MeasuredRow:
    first = entries[0].result
    record = first.record
    return MeasuredRow(
        model=label,
        cells=tuple(cells),
        num_parameters=record.model.num_parameters,
        status=min((entry.status for entry in entries), key=TRUST.index),
        source=record.foreign.object
        if record.foreign
        else record.training.recipe
        if record.training
        else "",
        result=first,
    )


def _in_order(
    rows: Iterable[MeasuredRow], better: Literal["lower", "higher"]
) -> tuple[MeasuredRow, ...]:
    sign = 1 if better == "lower" else -1

    def place(row: MeasuredRow) -> tuple[Any, ...]:
        numbers = [(c is None, 0.0 if c is None else sign * c.value) for c in row.cells]
        return *numbers, row.result is None, row.model

    return tuple(sorted(rows, key=place))
