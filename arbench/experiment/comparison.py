"""Comparison: two results on the same test events, event by event."""

from __future__ import annotations

from pathlib import Path

from arbench.errors import DataError
from arbench.experiment.folders import RunFolder
from arbench.experiment.records import Record
from arbench.experiment.weights import load_tensors
from arbench.probability.metrics import PairedDifference, paired_difference


def compare_runs(path_a: Path, path_b: Path) -> PairedDifference:
    """How much better the run in one folder is than that in another; positive when a is better.

    Raises:
        CheckpointError: if one of them is unfinished.
        DataError: if the two have no test numbers that can be compared: they are of different kinds
            (a bound says nothing of what it bounds), or not of the same events.
    """
    folders = [RunFolder(path_a), RunFolder(path_b)]
    for folder in folders:
        folder.require_finished()
    records = [Record.read(folder.record) for folder in folders]
    kinds = [record.nll["test"].kind for record in records]
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
    log_probs = [load_tensors(folder.log_probs)["test"] for folder in folders]
    if len(log_probs[0]) != len(log_probs[1]):
        raise DataError(
            f"{path_a} has {len(log_probs[0])} test events and {path_b} {len(log_probs[1])}: "
            "one of them was run with --limit"
        )
    return paired_difference(log_probs[0], log_probs[1])
