"""How a queue stands: what is made, running, waiting or failed, and when it will be done."""

from __future__ import annotations

import heapq
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from arbench.errors import CheckpointError
from arbench.files.strict_json import read_json
from arbench.runs.folder import RunFolder
from arbench.runs.pool.claims import LEASE_S, Claims, Note, own_host, process_exists
from arbench.runs.queue import QueuedRun
from arbench.runs.request import parse_seconds
from arbench.show.tables import Table
from arbench.show.wording import training_text

State = Literal["made", "running", "waiting", "failed"]
_STATES: tuple[State, ...] = ("made", "running", "waiting", "failed")
_LONG_S = 2 * LEASE_S  # without a word


@dataclass(frozen=True)
class RunStatus:
    """How one run of a queue stands.

    Attributes:
        name: of its folder.
        state: "made", "running", "waiting" or "failed".
        worker: "host:pid" of who makes it, or did so last; empty if nobody has.
        stage: what is going on there.
        fraction: of that stage; 1 for what is made.
        seconds: that it has taken so far, without earlier sittings; None before it is begun.
        heard_s: since its worker was last heard of; None if it is not running.
        left_s: that it will take yet; None if nobody can say.
        error: why it failed.
    """

    name: str
    state: State
    worker: str = ""
    stage: str = ""
    fraction: float = 0.0
    seconds: float | None = None
    heard_s: float | None = None
    left_s: float | None = None
    error: str = ""


@dataclass(frozen=True)
class QueueStatus:
    """How a queue stands.

    Attributes:
        runs: in the order of the file.
        done_s: seconds until all that has not failed is made; None if nobody works at it, or
            nothing says how long a run takes.
    """

    runs: tuple[RunStatus, ...]
    done_s: float | None

    def count(self, state: State) -> int:
        """How many runs are in a state."""
        return sum(run.state == state for run in self.runs)

    @property
    def fraction(self) -> float:
        """The part of all runs that is settled, with those that are going on counted in part."""
        parts = [run.fraction if run.state == "running" else 1.0 for run in self.runs]
        waiting = self.count("waiting")
        return (sum(parts) - waiting) / len(parts)

    @property
    def summary(self) -> str:
        """Such as "5 made, 2 running, 5 waiting; done in 3 min"."""
        counts = ", ".join(f"{n} {state}" for state in _STATES if (n := self.count(state)))
        return f"{counts}; done in {training_text(self.done_s)}" if self.done_s else counts

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values, for machines."""
        counts: dict[str, Any] = {state: self.count(state) for state in _STATES}
        return counts | {"done_s": self.done_s, "runs": [asdict(run) for run in self.runs]}


def queue_status(wanted: Sequence[QueuedRun], home: Path) -> QueueStatus:
    """How the runs of a queue stand in a folder; only looks, and can be asked at any time.

    Args:
        wanted: the runs of the queue.
        home: the folder of the run folders.
    """
    claims = Claims(home)
    runs = [_status(item.name, claims, RunFolder(home / item.name)) for item in wanted]
    lasts = [_expected_s(item, wanted, runs) for item in wanted]
    runs = [_with_rest(run, expected) for run, expected in zip(runs, lasts, strict=True)]
    return QueueStatus(tuple(runs), _done_s(runs))


def is_finished(folder: RunFolder) -> bool:
    """Whether the record of a run says so; more of it may be measured yet."""
    return _training(folder).get("status") == "finished"


def status_table(status: QueueStatus) -> Table:
    """A row for each run, and when all will be done."""
    rows = [
        (
            run.name,
            run.state,
            run.worker,
            f"{run.stage} {run.fraction:.0%}" if run.state == "running" and run.stage else "",
            "" if run.seconds is None else training_text(run.seconds),
            "" if run.left_s is None else training_text(run.left_s),
        )
        for run in status.runs
    ]
    notes = [status.summary]
    notes += [
        f"{run.name}: nothing heard of {run.worker} for {training_text(run.heard_s)}"
        for run in status.runs
        if run.heard_s is not None and run.heard_s > _LONG_S
    ]
    notes += [f"{run.name}: {run.error}" for run in status.runs if run.error]
    return Table("", ("run", "state", "worker", "stage", "took", "left"), rows, notes)


def _status(name: str, claims: Claims, folder: RunFolder) -> RunStatus:
    note = claims.note(name)
    while note is not None and note.state == "running" and not _is_alive(name, note, claims):
        before, note = note, claims.note(name)
        if note == before:  # else it ended just now
            break
    if note is None:
        if not is_finished(folder):
            return RunStatus(name, "waiting")
        return RunStatus(name, "made", fraction=1.0, seconds=_training(folder).get("seconds"))
    own = RunStatus(name, "waiting", worker=f"{note.host}:{note.pid}", seconds=note.seconds)
    if note.state == "running" and _is_alive(name, note, claims):
        heard_s = max(time.time() - note.heard, 0.0)
        left_s = None if note.remaining_s is None else max(note.remaining_s - heard_s, 0.0)
        return replace(
            own,
            state="running",
            stage=note.stage,
            fraction=note.fraction,
            seconds=note.seconds + heard_s,
            heard_s=heard_s,
            left_s=left_s,
        )
    if note.state == "failed":
        return replace(own, state="failed", error=note.error)
    return replace(own, state="made", fraction=1.0) if is_finished(folder) else own


def _is_alive(name: str, note: Note, claims: Claims) -> bool:
    """Whether somebody makes the run; of another machine without shared locks, if heard of."""
    if claims.is_alive(name):
        # Who looks whether the run is free holds it for a moment, too.
        return note.host != own_host() or process_exists(note.pid)
    return note.host != own_host() and time.time() - note.heard < _LONG_S


def _training(folder: RunFolder) -> dict[str, Any]:
    """What the record of a run says of its training, unchecked; empty where there is none."""
    if not folder.record.exists():
        return {}
    raw = read_json(folder.record, CheckpointError, "no record there")
    training = raw.get("training") if isinstance(raw, dict) else None
    return training if isinstance(training, dict) else {}


def _expected_s(
    item: QueuedRun, wanted: Sequence[QueuedRun], runs: Sequence[RunStatus]
) -> float | None:
    """How long a run takes: as others of its task and model do, else its budget, else as all do.

    Those that are made say so, and those that are running if none is.
    """
    for state in ("made", "running"):
        known = [
            (other, run.seconds + (run.left_s or 0.0))
            for other, run in zip(wanted, runs, strict=True)
            if run.state == state and run.seconds is not None
            if state == "made" or run.left_s is not None
        ]
        alike = [s for other, s in known if (other.task, other.model) == (item.task, item.model)]
        if not alike and item.budget is not None:
            return parse_seconds(item.budget)
        if known:
            return statistics.fmean(alike or [seconds for _, seconds in known])
    return None


def _with_rest(run: RunStatus, expected_s: float | None) -> RunStatus:
    """The run, with what it will take yet, as far as others tell where it does not say itself."""
    if run.state == "waiting":
        return replace(run, left_s=expected_s)
    is_open = run.state == "running" and run.left_s is None
    if is_open and expected_s is not None and run.seconds is not None and run.seconds < expected_s:
        return replace(run, left_s=expected_s - run.seconds)
    return run


def _done_s(runs: Sequence[RunStatus]) -> float | None:
    """When the workers that are at it will have made what waits, each taking the next one."""
    left = [run.left_s for run in runs if run.state in ("running", "waiting")]
    if not left:
        return 0.0
    free_at = [run.left_s for run in runs if run.state == "running" and run.left_s is not None]
    if None in left or not free_at:
        return None
    heapq.heapify(free_at)
    ends = [*free_at]
    for run in runs:
        if run.state == "waiting" and run.left_s is not None:
            ends.append(heapq.heappop(free_at) + run.left_s)
            heapq.heappush(free_at, ends[-1])
    return max(ends)
