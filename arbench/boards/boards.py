"""Builds the board of a task: results, ranks, published numbers; also a pandas frame.

Probabilities, densities and bounds say different things, and so do numbers on different data, or on
another part of the same: each kind on each version of a task has a board of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from arbench.boards.published import (
    compressed_tests,
    nats_error_of,
    nats_of,
    published_results,
)
from arbench.boards.ranking import Standing, standings
from arbench.boards.results import Result, find_results, join_runs
from arbench.boards.rows import (
    KINDS,
    Board,
    Row,
    Speed,
    compressor_row,
    flat_rows,
    in_order,
    no_board_text,
    published_boards,
    published_row,
)
from arbench.errors import ConfigError
from arbench.measure.statistics.seeds import mean_over_seeds
from arbench.runs.comparison import extent_of
from arbench.runs.record.difference import name_of_seeds, names_apart
from arbench.runs.record.record import Record

if TYPE_CHECKING:
    from pandas import DataFrame

_TEXT_COLUMNS = {"task", "kind", "unit", "group", "model", "run"} | {
    *("training_device", "status", "source", "note")
}
TRUST = ("local", "self-reported", "verified")  # a row is worth what its least seed is


def make_boards(results: Iterable[Result], *, unchecked: bool = False) -> list[Board]:
    """The boards of these results, with what is published on their tasks.

    Args:
        results: in any order.
        unchecked: also show published numbers that nobody has checked in their source.
    """

    def events(result: Result) -> tuple[str, str, tuple[int, int]]:
        task = result.record.task
        return task.name, task.data_sha256, extent_of(result.record)

    ordered = sorted(results, key=events)
    found = {events(result) for result in ordered}
    several = Counter(task for task, _, _ in found)
    extents = Counter(sha256 for _, sha256, _ in found)
    boards = []
    for (task, sha256, extent), group in groupby(ordered, events):
        own = [*group]
        about = f"version {own[0].record.task.version}, data {sha256[:8]}"
        if extents[sha256] > 1:
            num_dims, num_events = extent
            about += f", {num_dims:,} test dims" + f" in {num_events:,} events" * (num_events > 0)
        published = [r for r in published_results(task) if r.checked or unchecked]
        for kind in KINDS:
            rows = _ranked([r for r in own if r.record.splits["test"].kind == kind])
            rows += [published_row(r, own[0].record) for r in published if r.kind == kind]
            if kind == "exact" and rows:
                rows += [
                    compressor_row(c, own[0].record) for c in compressed_tests(sha256, extent[0])
                ]
            if rows:
                unit = own[0].record.task.unit
                label = about if several[task] > 1 else ""
                rows = _with_machines_apart(rows)
                boards.append(Board(task, kind, unit, sha256, in_order(rows), label))
    return boards


def find_boards(
    task: str | None = None, *, runs: Path | None = None, unchecked: bool = False
) -> tuple[list[Board], list[str]]:
    """The boards of a task, or all that have a result, and which runs are on none and why.

    Args:
        task: its name; None for every task that has a result.
        runs: a folder with runs of the user's own to show among the kept results.
        unchecked: also show published numbers that nobody has checked in their source.

    Raises:
        ConfigError: if nobody has a number on that task, or there is no such folder.
    """
    kept, local, left_out = find_results(runs)
    results = join_runs(kept, local)
    if task is None:
        return make_boards(results, unchecked=unchecked), left_out
    own = [result for result in results if result.record.task.name == task]
    boards = make_boards(own, unchecked=unchecked) or published_boards(task, unchecked=unchecked)
    if not boards:
        raise ConfigError(no_board_text(task, {r.record.task.name for r in results}, left_out))
    return boards, left_out


def frame(boards: Iterable[Board]) -> DataFrame:
    """Boards as a table of plain columns, one row for each of theirs; see `flat_rows`."""
    import pandas

    table = pandas.DataFrame(flat_rows(boards))
    if not table.empty:
        counts = {"rank": "Int64", "num_parameters": "Int64", "num_seeds": "Int64"}
        counts |= dict.fromkeys(("still_growing", "is_checked"), "bool")
        numbers = dict.fromkeys({*map(str, table)} - _TEXT_COLUMNS - {*counts}, "float64")
        table = table.astype(counts | numbers)
    return table


def _ranked(results: Sequence[Result]) -> list[Row]:
    recipes = _by_recipe(results)
    records = [seeds[0].record for seeds in recipes]
    labels = names_apart([label_of(record) for record in records], records)
    placed = standings([[(seed.record, seed.log_probs) for seed in seeds] for seeds in recipes])
    return [_row(*row) for row in zip(recipes, placed, labels, strict=True)]


def _by_recipe(results: Iterable[Result]) -> list[list[Result]]:
    """Results, the seeds of one recipe together, each once.

    The same seed on another machine is no other draw: the first of them stands for it. Nobody knows
    the recipe of a foreign density or of a record of format 1, so such a one stands alone.
    """
    recipes: dict[str, dict[int, Result]] = {}
    for number, result in enumerate(results):
        training = result.record.training
        recipe = None if training is None else training.recipe_sha256
        seed = 0 if training is None else training.seed
        recipes.setdefault(recipe or f"alone {number}", {}).setdefault(seed, result)
    return [[seeds[seed] for seed in sorted(seeds)] for seeds in recipes.values()]


def _row(seeds: Sequence[Result], standing: Standing, label: str) -> Row:
    """The row of one result, or of the seeds of one recipe: their mean."""
    first = seeds[0].record
    training, foreign = first.training, first.foreign
    records = [seed.record for seed in seeds]
    tests = [record.splits["test"] for record in records]
    nats, nats_error = mean_over_seeds(
        [nats_of(record) for record in records], [nats_error_of(record) for record in records]
    )
    bits: tuple[float | None, float | None] = (None, None)
    if values := [test.bits_per_dim for test in tests if test.bits_per_dim is not None]:
        bits = mean_over_seeds(values, [test.standard_error_bits_per_dim for test in tests])
    gaps = [record.truth.gap_nats_per_event for record in records if record.truth is not None]
    is_local = any(seed.status == "local" and seed.folder for seed in seeds)
    times = [record.training.seconds for record in records if record.training is not None]
    return Row(
        rank=standing.rank,
        group=standing.group,
        model=label,
        bits_per_dim=bits[0],
        bits_error=bits[1],
        nats=nats,
        nats_error=nats_error,
        still_growing=any(t.block is not None and t.block.still_growing for t in tests),
        num_seeds=len(seeds),
        nats_sd=stdev([nats_of(record) for record in records]) if len(seeds) > 1 else None,
        run=name_of_seeds([seed.folder for seed in seeds if seed.folder]) if is_local else "",
        gap_nats=fmean(gaps) if gaps else None,
        num_parameters=first.model.num_parameters,
        training_s=fmean(times) if times else None,
        training_device=None if training is None else _training_device(first),
        speeds=best_speeds(seeds[0]),
        status=min((seed.status for seed in seeds), key=TRUST.index),
        source=foreign.object if foreign else training.recipe if training else "",
        is_checked=first.checks is not None and any(check for _, check in first.checks),
        result=seeds[0],
    )


def label_of(record: Record) -> str:
    """A model's name, and what sets it apart from others of that name."""
    model = record.model
    about = [f"{model.num_copies} copies"] if model.num_copies > 1 else []
    if model.num_members > 1:
        about.append(f"{model.num_members} members")
    if (windows := record.windows or record.pieces) is not None:
        about.append(f"context {windows.context}")
    return f"{model.name} ({', '.join(about)})" if about else model.name


def _training_device(record: Record) -> str:
    assert record.training is not None  # see `_ranked`
    return record.environment.gpu or record.training.device


def best_speeds(result: Result) -> tuple[Speed, ...]:
    """Every sampler's speed on every machine, at its best batch size."""
    rows = [
        Speed(
            row.method,
            row.device,
            report.machine,
            row.batch_size,
            row.events_per_s,
            row.extrapolated,
        )
        for report in result.speeds
        for row in report.sampling
        if not row.shared
    ]

    def sampler(speed: Speed) -> tuple[str, str, str]:
        return speed.device, speed.machine, speed.method

    return tuple(
        max(group, key=lambda speed: speed.events_per_s)
        for _, group in groupby(sorted(rows, key=sampler), sampler)
    )


def _with_machines_apart(rows: Sequence[Row]) -> list[Row]:
    """The rows of a board; where several machines have a device of one name, it says which."""
    machines = {(speed.device, speed.machine) for row in rows for speed in row.speeds}
    count = Counter(device for device, _ in machines)

    def named(speed: Speed) -> Speed:
        if count[speed.device] == 1:
            return speed
        return replace(speed, device=f"{speed.device} ({speed.machine})")

    return [replace(row, speeds=tuple(named(speed) for speed in row.speeds)) for row in rows]
