"""`arbench compare`: paired differences of two runs, or of two recipes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from arbench.data.tasks import group_of
from arbench.errors import DataError
from arbench.measure.statistics.metrics import group_sums
from arbench.measure.statistics.paired import PairedDifference, paired_difference
from arbench.measure.statistics.seeds import FEWEST_SEEDS, recipes_difference
from arbench.runs.loading import check_bound
from arbench.runs.record.plausibility import require_plausible
from arbench.runs.record.record import Record
from arbench.runs.record.values import (
    LogProbs,
    read_log_probs,
    test_of,
    window_dims,
)
from arbench.runs.seeds import seed_folders

# One result: a record and the log-probabilities of its test events.
Measured = tuple[Record, LogProbs]


def compare_runs(path_a: Path, path_b: Path) -> PairedDifference:
    """How much better the run in one folder is than that in another; positive when a is better.

    Each may also be a folder of the seeds of one recipe. With three seeds or more on both sides the
    difference is one of recipes, a `RecipesDifference`; else it is one of these weights, over seeds
    on the average.

    Raises:
        CheckpointError: if one of them is unfinished or damaged.
        ConfigError: if a folder of seeds holds several recipes.
        DataError: if the two have no test numbers that can be compared: they are of different kinds
            (a bound says nothing of what it bounds), not of the same events, of format 1 on a task
            whose events are not independent, or better than is possible.
    """
    sides = [_read(path_a), _read(path_b)]
    first_a, first_b = (side[0][0] for side in sides)
    tests = first_a.splits["test"], first_b.splits["test"]
    if tests[0].kind != tests[1].kind:
        raise DataError(
            f"{path_a} has test numbers of kind {tests[0].kind}, {path_b} of kind "
            f"{tests[1].kind}: only numbers of one kind can be compared"
        )
    tasks = first_a.task, first_b.task
    if tasks[0].data_sha256 != tasks[1].data_sha256:
        raise DataError(
            f"{path_a} is on {tasks[0].name} (data {tasks[0].data_sha256[:12]}), {path_b} on "
            f"{tasks[1].name} (data {tasks[1].data_sha256[:12]}): only runs on the same events "
            "can be compared"
        )
    if tests[0].num_dims != tests[1].num_dims:
        raise DataError(
            f"{path_a} was evaluated on {tests[0].num_dims:,} dims and {path_b} on "
            f"{tests[1].num_dims:,} of the same test split: --limit left some out"
        )
    difference = difference_of(*sides)
    if difference is None:
        raise DataError(
            f"{path_a} and {path_b} have no two independent stretches of the test split in common: "
            "evaluate one with the other's context and stride"
        )
    return difference


def _read(path: Path) -> list[Measured]:
    """The result in a run folder, or those of all seeds in a folder of seeds."""
    measured = []
    for folder in seed_folders(path):
        folder.require_finished()
        record = Record.read(folder.record)
        check_bound(folder.path, record, ("config",))
        test = test_of(record, folder.path)
        log_probs = read_log_probs(record, folder.per_event)
        is_old = test.num_groups is None and record.windows is None
        if is_old and (group := group_of(record.task.name)) != "event":
            raise DataError(
                f"{folder.path}: its format is older and does not say which events belong to one "
                f"{group}, and these are not independent; `arbench verify {folder.path}` adds that"
            )
        require_plausible(record, log_probs.values, str(folder.path))
        measured.append((record, log_probs))
    return measured


def difference_of(a: Sequence[Measured], b: Sequence[Measured]) -> PairedDifference | None:
    """The paired difference of two results, or of two recipes; positive if a is better.

    None if they are not of the same test events (see `extent_of`), or share less than two
    independent ones.

    Of a stream the events are windows, whose scored symbols follow one another without a gap. Where
    two results were evaluated on other windows, they are compared on the smallest stretches of the
    stream that both cover with whole windows. Pieces are compared whole, whatever their windows.

    Args:
        a: a result, or those of the seeds of one recipe.
        b: another on the same data.
    """
    record_a, record_b = a[0][0], b[0][0]
    if len({extent_of(record) for record, _ in [*a, *b]}) > 1:
        return None
    values_a, values_b = events_of(a), events_of(b)
    groups, dims = groups_of([a, b]), None
    if record_a.windows is not None and record_b.windows is not None:
        ends_a, ends_b = (window_dims(record).cumsum(0) for record in (record_a, record_b))
        shared = ends_a[torch.isin(ends_a, ends_b)]
        values_a = _stretch_sums(values_a, ends_a, shared)
        values_b = _stretch_sums(values_b, ends_b, shared)
        dims = shared.diff(prepend=shared.new_zeros(1))
    num_independent = values_a.shape[1] if groups is None else len(torch.unique(groups))
    if num_independent < 2:
        return None
    if min(len(a), len(b)) >= FEWEST_SEEDS:
        return recipes_difference(values_a, values_b, groups=groups, stream_dims=dims)
    return paired_difference(values_a.mean(0), values_b.mean(0), groups=groups, stream_dims=dims)


def extent_of(record: Record) -> tuple[int, int]:
    """Scored dims of the test split, and its events; 0 for windows, which may differ.

    Results that differ in it are not of the same events, even if they name the same data.
    """
    test = record.splits["test"]
    has_windows = record.windows is not None or record.pieces is not None
    return test.num_dims, 0 if has_windows else test.num_events


def events_of(side: Sequence[Measured]) -> Tensor:
    """Log-probabilities `(S, N)` of the test events by each seed; of pieces, of whole ones."""
    values = torch.stack([each.values for _, each in side])
    record, first = side[0]
    if record.pieces is None:
        return values
    assert first.groups is not None  # of pieces
    return group_sums(values.double(), first.groups)


def groups_of(sides: Iterable[Sequence[Measured]]) -> Tensor | None:
    """The groups of events that all sides are on; None if all events are independent.

    Of one that has them, all have the same. Pieces are independent of each other.
    """
    for side in sides:
        for record, each in side:
            if record.pieces is None and each.groups is not None:
                return each.groups
    return None


def _stretch_sums(values: Tensor, ends: Tensor, shared: Tensor) -> Tensor:
    """Sums `(S, M)` of consecutive values `(S, N)` up to each shared end, float64."""
    totals = values.double().cumsum(1)[:, torch.searchsorted(ends, shared)]
    return totals.diff(dim=1, prepend=totals.new_zeros(len(totals), 1))
