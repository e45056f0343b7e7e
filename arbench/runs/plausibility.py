"""Plausibility: a result that is better than the truth is none, wherever it comes from."""

from __future__ import annotations

import functools
import math

from torch import Tensor

from arbench.data.dataset import load_split
from arbench.data.streams import StreamTask
from arbench.data.tasks import Split, Task, data_sha256, open_task
from arbench.errors import ArbenchError, DataError, Diverged
from arbench.measure.evaluation import compare_with_truth
from arbench.measure.likelihood import TruthRecord
from arbench.measure.statistics.metrics import ROUNDING_SHARE
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


def plausibility_fault(record: Record, log_probs: Tensor) -> str | None:
    """Why a result cannot be, see `require_plausible`; None if it can."""
    if record.nll["test"].kind == "exact" and bool((log_probs > ROUNDING_SHARE).any()):
        index = int(log_probs.argmax())
        return f"event {index} has log-probability {log_probs[index].item():.4g}, above that of 1"
    truth = record.truth
    known = _task_of(record.task.name)
    if known is None or known[2] != record.task.data_sha256:
        return None if truth is None else _beats(truth)
    task, test, _ = known
    own = test.first(record.limit)
    if len(own) != len(log_probs):
        return f"{task.name} has {len(own):,} test events, and it is of {len(log_probs):,}"
    try:
        found = compare_with_truth(record.model.name, task, own, log_probs)
    except Diverged as error:
        return str(error)
    if (found is None) != (truth is None):
        return f"it {'lacks' if truth is None else 'has'} a gap to the true density"
    if found is not None and truth is not None and (said := _misstated(truth, found)):
        return said
    return None


def _beats(truth: TruthRecord) -> str | None:
    if truth.gap_nats_per_event >= -_MOST_SIGMA * truth.standard_error_nats:
        return None
    return f"{-truth.gap_nats_per_event:.4f} nats better than the true density: impossible"


def _misstated(said: TruthRecord, found: TruthRecord) -> str | None:
    for name in ("true_nats_per_event", "gap_nats_per_event"):
        pair = getattr(said, name), getattr(found, name)
        # The truth is computed anew, on a machine that may round otherwise.
        if not math.isclose(*pair, rel_tol=1e-6, abs_tol=1e-6 * (1 + said.true_nats_per_event)):
            return f"truth.{name} is {pair[0]:.6g}, and its log-probabilities give {pair[1]:.6g}"
    return None


@functools.cache
def _task_of(name: str) -> tuple[Task, Split, str] | None:
    """A task whose truth is known, its test split, and the hash of its data; None for others."""
    registered = registry().tasks.get(name)
    if registered is None or registered.entry.argument is not None:
        return None
    try:
        task = open_task(name)
        if isinstance(task, StreamTask) or not task.has_true_log_prob:
            return None
        return task, load_split(task, "test"), data_sha256(task)
    except ArbenchError:  # a plugin that does not work here, or data that are not here
        return None
