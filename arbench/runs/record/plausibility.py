"""Refuses a result that is significantly better than the true density."""

from __future__ import annotations

import functools
import math

from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.errors import ArbenchError, DataError, Diverged
from arbench.measure.statistics.metrics import ROUNDING_SHARE
from arbench.measure.truth import TruthGap, TruthSection, compare_with_truth
from arbench.registry.manager import registry
from arbench.runs.record.record import Record

_MOST_SIGMA = 4


def require_plausible(record: Record, log_probs: Tensor, source: str) -> None:
    """Refuse a result that cannot be.

    A probability is never above 1. Where the true density of a task is known and the task is
    installed, the result is held against it on the same events, as a run does; else against what
    the record itself says of the truth.

    Args:
        record: with a test number.
        log_probs: `(N,)` nats of its test events.
        source: what to name.

    Raises:
        DataError: with the reason.
    """
    if fault := plausibility_fault(record, log_probs):
        raise DataError(f"{source}: {fault}")


def plausibility_fault(
    record: Record, log_probs: Tensor, dataset: Dataset | None = None
) -> str | None:
    """Why a result cannot be, see `require_plausible`; None if it can.

    A caller who has the data of its task open passes the dataset on, so that it is loaded once.
    """
    if record.splits["test"].kind == "exact" and bool((log_probs > ROUNDING_SHARE).any()):
        index = int(log_probs.argmax())
        return f"event {index} has log-probability {log_probs[index].item():.4g}, above that of 1"
    truth = record.truth
    if dataset is None or dataset.task.name != record.task.name:
        dataset = _dataset_of(record.task.name)
    if (
        dataset is None
        or not dataset.task.has_true_log_prob
        or dataset.sha256 != record.task.data_sha256
    ):
        return None if truth is None else _beats(truth)
    own = dataset.split("test").first(record.limit)
    if len(own) != len(log_probs):
        return f"{record.task.name} has {len(own):,} test events, and it is of {len(log_probs):,}"
    try:
        found = compare_with_truth(record.model.name, dataset.task, own, log_probs)
    except Diverged as error:
        return str(error)
    if (found is None) != (truth is None):
        return f"it {'lacks' if truth is None else 'has'} a gap to the true density"
    if found is not None and truth is not None and (said := _misstated(truth, found)):
        return said
    return None


def _beats(truth: TruthSection) -> str | None:
    if truth.gap_nats_per_event >= -_MOST_SIGMA * truth.standard_error_nats:
        return None
    return f"{-truth.gap_nats_per_event:.4f} nats better than the true density: impossible"


def _misstated(said: TruthSection, found: TruthGap) -> str | None:
    for name in ("true_nats_per_event", "gap_nats_per_event"):
        pair = getattr(said, name), getattr(found, name)
        # The truth is computed anew, on a machine that may round otherwise.
        if not math.isclose(*pair, rel_tol=1e-6, abs_tol=1e-6 * (1 + said.true_nats_per_event)):
            return f"truth.{name} is {pair[0]:.6g}, and its log-probabilities give {pair[1]:.6g}"
    return None


@functools.cache
def _dataset_of(name: str) -> Dataset | None:
    """The dataset of a task whose truth is known, of which the test split is kept; None else."""
    registered = registry().tasks.get(name)
    if registered is None or registered.entry.argument is not None:
        return None
    try:
        dataset = Dataset(name)
        if dataset.task.needs_windows or not dataset.task.has_true_log_prob:
            return None
        _ = dataset.split("test"), dataset.sha256  # here, where what is wrong with them is caught
        dataset.drop("train", "validation")
        return dataset
    except ArbenchError:  # a plugin that does not work here, or data that are not here
        return None
