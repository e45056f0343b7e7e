"""Comparison: two results on the same test events, event by event."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from arbench.errors import DataError
from arbench.experiment.folders import RunFolder
from arbench.experiment.log_probs import read_log_probs, test_of
from arbench.experiment.records import Record
from arbench.probability.metrics import PairedDifference, paired_difference


def compare_runs(path_a: Path, path_b: Path) -> PairedDifference:
    """How much better the run in one folder is than that in another; positive when a is better.

    Raises:
        CheckpointError: if one of them is unfinished or damaged.
        DataError: if the two have no test numbers that can be compared: they are of different kinds
            (a bound says nothing of what it bounds), or not of the same events.
    """
    folders = [RunFolder(path_a), RunFolder(path_b)]
    for folder in folders:
        folder.require_finished()
    records = [Record.read(folder.record) for folder in folders]
    tests = [test_of(record, folder.path) for record, folder in zip(records, folders, strict=True)]
    kinds = [test.kind for test in tests]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"{path_a} has test numbers of kind {kinds[0]}, {path_b} of kind {kinds[1]}: only "
            "numbers of one kind can be compared"
        )
    tasks = [record.task for record in records]
    if tasks[0].data_sha256 != tasks[1].data_sha256:
        raise DataError(
            f"{path_a} is on {tasks[0].name} (data {tasks[0].data_sha256[:12]}), {path_b} on "
            f"{tasks[1].name} (data {tasks[1].data_sha256[:12]}): only runs on the same events "
            "can be compared"
        )
    num_dims = [test.num_dims for test in tests]
    if num_dims[0] != num_dims[1]:
        raise DataError(
            f"{path_a} was evaluated on {num_dims[0]:,} dims and {path_b} on {num_dims[1]:,} of "
            "the same test split: --limit left some out"
        )
    log_probs = [
        read_log_probs(record, folder.log_probs)
        for record, folder in zip(records, folders, strict=True)
    ]
    difference = difference_of(records[0], log_probs[0], records[1], log_probs[1])
    if difference is None:
        raise DataError(
            f"{path_a} and {path_b} have no two stretches of the test split in common: evaluate "
            "one with the other's context and stride"
        )
    return difference


def difference_of(
    record_a: Record, log_probs_a: Tensor, record_b: Record, log_probs_b: Tensor
) -> PairedDifference | None:
    """The paired difference of two results, positive if a is better.

    None if they are not of the same test events (see `extent_of`), or share less than 2.

    Of a stream the events are windows, whose scored symbols follow one another without a gap. Where
    two results were evaluated on other windows, they are compared on the smallest stretches of the
    stream that both cover with whole windows.

    Args:
        record_a: one result.
        log_probs_a: its `(N,)` nats of test events.
        record_b: another on the same data.
        log_probs_b: its `(M,)` nats.
    """
    if extent_of(record_a) != extent_of(record_b):
        return None
    if record_a.evaluation != record_b.evaluation:
        ends_a, ends_b = _window_ends(record_a), _window_ends(record_b)
        shared = ends_a[torch.isin(ends_a, ends_b)]
        log_probs_a = _block_sums(log_probs_a, ends_a, shared)
        log_probs_b = _block_sums(log_probs_b, ends_b, shared)
    if len(log_probs_a) < 2:
        return None
    return paired_difference(log_probs_a, log_probs_b)


def extent_of(record: Record) -> tuple[int, int]:
    """Scored dims of the test split, and its events; 0 for a stream, whose windows may differ.

    Results that differ in it are not of the same events, even if they name the same data.
    """
    test = record.nll["test"]
    return test.num_dims, test.num_events if record.evaluation is None else 0


def _window_ends(record: Record) -> Tensor:
    """How many symbols of the stream are scored up to each window's end, `(M,)` int64."""
    windows, test = record.evaluation, record.nll["test"]
    assert windows is not None  # see `extent_of`
    ends = windows.context + windows.stride * torch.arange(test.num_events)
    return ends.clamp_max(test.num_dims)


def _block_sums(values: Tensor, ends: Tensor, shared: Tensor) -> Tensor:
    """Sums of consecutive values `(M,)` up to each shared end, `(S,)` float64."""
    totals = values.double().cumsum(0)[torch.searchsorted(ends, shared)]
    return totals.diff(prepend=totals.new_zeros(1))
