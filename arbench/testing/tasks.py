"""The checks of a task: disjoint splits, determinism, hashes, padding.

In a plugin's own tests, one line makes one pytest item per check, once the task is registered:

    test_conformance = conformance("my-task")
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from arbench.data.dataset import Dataset, windows_of
from arbench.data.offline import NotHereError, offline
from arbench.data.pieces import PieceTask
from arbench.data.sources import locate
from arbench.data.streams import as_events
from arbench.data.tasks import SPLITS, Split, SplitName, Task
from arbench.probability.bits import Kind
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.foreign import ForeignDensity
from arbench.probability.randomness import keyed_generator
from arbench.testing.foreign import check_samples_fit
from arbench.testing.generators import other_global_generators
from arbench.testing.subject import ConformanceError, NotApplicableError
from arbench.testing.toys import all_events

_CONTEXT = 64  # at most, of the windows through which a stream is looked at
_NUM_VIEWED = 500
_MOST_LISTED = 1 << 16
_SUM_TOLERANCE = 1e-9
_MIN_BALANCED = 1000
_DTYPES = {True: (torch.uint8, torch.int64), False: (torch.float32,)}


@dataclass(frozen=True, eq=False)
class TaskSubject:
    """One task; nothing is downloaded for a check.

    Args:
        make: the task, anew each time.
    """

    make: Callable[[], Task]

    @functools.cached_property
    def task(self) -> Task:
        """One of them."""
        return self.make()

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The same, a stream through windows: something with a spec."""
        return Dataset(windows_of(self.task, _context(self.task)))

    @property
    def events_task(self) -> Task:
        """The task of the dataset."""
        return self.dataset.task

    @functools.cached_property
    def splits(self) -> dict[SplitName, Split]:
        """Its whole splits as events, whether or not they are what the task says they are.

        Raises:
            NotApplicableError: if a file that they take is not on this machine.
        """
        return {name: as_events(self.events_task, name, own) for name, own in self.stored.items()}

    @functools.cached_property
    def stored(self) -> dict[SplitName, Split]:
        """Its splits as they are loaded: those of a stream are one event each.

        Raises:
            NotApplicableError: if a file that they take is not on this machine.
        """
        with _local_files():
            return {name: self.dataset.stored(name) for name in SPLITS}


def _context(task: Task) -> int:
    """How long the windows are: so short that training cuts most pieces at random places.

    It does from three windows on, if they can overlap.
    """
    if not isinstance(task, PieceTask):
        return _CONTEXT
    with _local_files():
        typical = statistics.median(len(piece) for piece in task.load_pieces("train"))
    return max(2, min(_CONTEXT, int(typical) // 5))


@contextlib.contextmanager
def _local_files() -> Iterator[None]:
    """Within, nothing is downloaded; a file that is not here makes a check not applicable."""
    try:
        with offline():
            yield
    except NotHereError as error:
        raise NotApplicableError(str(error)) from error


def check_spec(subject: TaskSubject) -> None:
    """Every event of every split has the shape, the domain and the type that the spec says.

    The train split of a task with a `training_view` is checked by what that view makes of it.

    Raises:
        ConformanceError: with the split, and the first event that differs.
    """
    task = subject.events_task
    for name, split in subject.splits.items():
        if not len(split):
            raise ConformanceError(f"the {name} split has no events")
        if name == "train" and task.has_training_view:
            continue
        _require_events(task.spec, split.events, f"the {name} split")


def check_splits_disjoint(subject: TaskSubject) -> None:
    """No event of validation or test was seen before, but for those that the task counts.

    A task whose data hold equal events says how many in `shared_events`: validation in train, test
    in train and test in validation.

    Raises:
        ConformanceError: with how many there are, and how many are stated.
        NotApplicableError: if rows were divided whatever they hold, since they are draws; or with
            how many there are, if the task counts none because nobody had seen its data.
    """
    if subject.task.division is not None and subject.task.division.rule == "rows":
        raise NotApplicableError("rows are draws here, and draws repeat themselves")
    stated = subject.task.shared_events
    splits = subject.stored  # windows of one text resemble each other: its splits are what differs
    found = {
        (later, earlier): splits[later].num_events_also_in(splits[earlier])
        for earlier, later in itertools.combinations(SPLITS, 2)
    }
    if stated is None:
        counts = ", ".join(f"{number:,} of {a} in {b}" for (a, b), number in found.items())
        raise NotApplicableError(
            f"nobody has counted what the data repeat; here {counts}: state it in `shared_events`"
        )
    for (later, earlier), number in found.items():
        if number != (expected := stated.get((later, earlier), 0)):
            raise ConformanceError(
                f"{number:,} of the {len(splits[later]):,} {later} events are also in {earlier}, "
                f"where the task states {expected:,}: the splits overlap, or `shared_events` has "
                "to count what the data repeat"
            )


def check_deterministic(subject: TaskSubject) -> None:
    """Two loads, by two instances and whatever the global generators, give equal bytes.

    Raises:
        ConformanceError: with both hashes.
    """
    with _local_files():
        first = Dataset(subject.make()).sha256
        with other_global_generators():
            second = Dataset(subject.make()).sha256
    if first != second:
        raise ConformanceError(
            f"two loads differ: the events hash to {first[:12]} and then to {second[:12]}; draw "
            "nothing while loading, or from a stated seed"
        )


def check_hashes(subject: TaskSubject) -> None:
    """Every source file is the pinned one, and a task that calls itself pinned pins them all.

    Raises:
        ConformanceError: with the file.
        NotApplicableError: if the task has no files, or none of them is on this machine.
    """
    task = subject.task
    unpinned = [source.path for source in task.files if source.sha256 is None]
    if task.pinned and unpinned:
        raise ConformanceError(
            f"the task says it is pinned, but {', '.join(unpinned)} has no sha256: state it, or "
            "set pinned = False"
        )
    if not task.files:
        raise NotApplicableError("the task has no source files")
    if all(locate(source) is None for source in task.files):  # what is found is also hashed
        raise NotApplicableError(
            f"no source file is on this machine: arbench data {task.name} --download"
        )


def check_training_view(subject: TaskSubject) -> None:
    """What training sees depends on the generator alone, changes with it, and keeps the spec.

    Raises:
        ConformanceError: with what else it depends on, or the first event that differs.
        NotApplicableError: if training sees what is stored.
    """
    task = subject.events_task
    if not task.has_training_view:
        raise NotApplicableError("training sees what is stored")
    events = subject.splits["train"].events[:_NUM_VIEWED]
    before = events.clone()
    first = task.training_view(events, keyed_generator(0, "view", 0))
    if not torch.equal(events, before):
        raise ConformanceError("training_view changes the stored events in place")
    if len(first) != len(events):
        raise ConformanceError(f"training_view makes {len(first)} events of {len(events)}")
    _require_events(task.spec, first, "training_view")
    with other_global_generators():
        again = task.training_view(events, keyed_generator(0, "view", 0))
    if not torch.equal(first, again):
        raise ConformanceError(
            "equal generators make different training views: it draws from another source, so a "
            "run could not be resumed"
        )
    if torch.equal(first, task.training_view(events, keyed_generator(0, "view", 1))):
        raise ConformanceError(
            "different generators make equal training views: every epoch sees the same, so store "
            "it instead"
        )


def check_padding_last(subject: TaskSubject) -> None:
    """The scored dims of an event are one block from its first dim on: nothing sees padding.

    In the windows of a stream or a piece unscored symbols may come first: those are context.

    Raises:
        ConformanceError: with the event, and how its mask goes.
        NotApplicableError: if all dims are scored.
    """
    masks = {name: split.scored for name, split in subject.splits.items()}
    if all(mask is None for mask in masks.values()):
        raise NotApplicableError("all dims of all events are scored")
    for name, split in subject.splits.items():
        if split.scored is None:
            continue
        if split.scored.dtype != torch.bool or split.scored.shape != split.events.shape:
            raise ConformanceError(
                f"scored of the {name} split is {tuple(split.scored.shape)} {split.scored.dtype}, "
                f"expected {tuple(split.events.shape)} torch.bool"
            )
        scored = split.scored.flatten(1)
        padding_seen = ~scored[:, :-1] & scored[:, 1:]
        if split.is_stream or subject.events_task.has_pieces:
            padding_seen &= scored.long().cumsum(1)[:, :-1] > 0
        wrong = padding_seen.any(1) | ~scored.any(1)
        if bool(wrong.any()):
            event = int(wrong.nonzero()[0])
            if not bool(scored[event].any()):
                raise ConformanceError(f"{name} event {event} has no scored dim")
            dim = int(padding_seen[event].nonzero()[0])
            raise ConformanceError(
                f"in {name} event {event} dim {dim} is padding and dim {dim + 1} is scored: what "
                "is scored sees the padding, so its probability depends on what was filled in"
            )


def check_groups(subject: TaskSubject) -> None:
    """A task that says what is independent gives every event of validation and test its group.

    Raises:
        ConformanceError: if it has a word and no groups, or groups and no word, or a single group.
        NotApplicableError: if its events are independent, or those of a stream.
    """
    task = subject.events_task
    splits = {name: subject.splits[name] for name in SPLITS if name != "train"}
    if any(split.is_stream for split in splits.values()):
        raise NotApplicableError("the errors of a stream are over blocks")
    if task.group == "event" and all(split.groups is None for split in splits.values()):
        raise NotApplicableError("every event is independent of every other")
    for name, split in splits.items():
        if (split.groups is None) != (task.group == "event"):
            found = "no groups" if split.groups is None else f"{split.num_groups:,} groups"
            raise ConformanceError(
                f"the {name} split has {found}, and the task's group is {task.group!r}: groups of "
                "events have a word, such as 'recording', and both splits have them"
            )
        if split.num_groups == 1:
            raise ConformanceError(
                f"all {len(split):,} {name} events are one {task.group}: a number on them has no "
                "standard error"
            )


def check_labels(subject: TaskSubject) -> None:
    """Every event of every split has a label, always the same one, and all splits have its name.

    Raises:
        ConformanceError: with the split.
        NotApplicableError: if the task has no labels, or a file that they take is not here.
    """
    task = subject.events_task
    if not task.has_labels:
        raise NotApplicableError("the task has no labels")
    names = None
    for split in SPLITS:
        num_events = len(subject.splits[split])
        with _local_files():
            labels = task.load_labels(split)
            with other_global_generators():
                again = task.load_labels(split)
        if len(labels) != num_events:
            raise ConformanceError(f"{split} has {num_events:,} events, and {len(labels):,} labels")
        if not torch.equal(labels.values, again.values):
            raise ConformanceError(f"two loads of the labels of {split} differ")
        names = names or labels.names
        if labels.names != names:
            raise ConformanceError(f"the labels of train are {names}, of {split} {labels.names}")


def check_true_log_prob(subject: TaskSubject) -> None:
    """The true density sums to 1 where it can be summed, and the events follow it.

    Where there are too many events to sum over, ratios are what can be tested: changing one dim
    of an event has to make it likelier as often as it undoes such a change.

    Raises:
        ConformanceError: with the sum, or by how much the balance is off.
        NotApplicableError: if nobody knows the true density.
    """
    task = subject.task
    if not task.has_true_log_prob:
        raise NotApplicableError("nobody knows the true density")
    events = torch.cat([split.events for split in subject.splits.values()])
    log_probs = task.true_log_prob(events[:_NUM_VIEWED])
    if log_probs.shape != (len(events[:_NUM_VIEWED]),) or log_probs.dtype != torch.float64:
        raise ConformanceError(
            f"true_log_prob of {len(events[:_NUM_VIEWED])} events has shape "
            f"{tuple(log_probs.shape)} and {log_probs.dtype}, expected (B,) and torch.float64"
        )
    if not bool(log_probs.isfinite().all()):
        raise ConformanceError("true_log_prob gives no probability to an event of the task")
    domain, num_dims = task.spec.domain, task.spec.num_dims
    if isinstance(domain, Discrete) and domain.size**num_dims <= _MOST_LISTED:
        listed = all_events(task.spec)
        total = task.true_log_prob(listed).exp().sum().item()
        if not abs(total - 1) <= _SUM_TOLERANCE:
            raise ConformanceError(
                f"the true probabilities of all {len(listed)} events sum to {total:.10g}, not to 1"
            )
    needed = _MIN_BALANCED if isinstance(domain, Discrete) else 3 * _MIN_BALANCED
    if len(events) >= needed:
        kind: Kind = "exact" if isinstance(domain, Discrete) else "density"
        known = _KnownDensity(task, events)
        density = ForeignDensity(known, spec=task.spec, kind=kind)
        try:
            check_samples_fit(density, _MIN_BALANCED)
        except ConformanceError as error:
            raise ConformanceError(f"the task's own events, as samples: {error}") from error


TASK_CHECKS: dict[str, Callable[[TaskSubject], None]] = {
    "spec": check_spec,
    "splits_disjoint": check_splits_disjoint,
    "deterministic": check_deterministic,
    "hashes": check_hashes,
    "training_view": check_training_view,
    "padding_last": check_padding_last,
    "groups": check_groups,
    "labels": check_labels,
    "true_log_prob": check_true_log_prob,
}


class _KnownDensity:
    """The true density of a task, its own events for samples: in the order that a key says."""

    def __init__(self, task: Task, events: Tensor) -> None:
        self._events = events
        self.log_prob = task.true_log_prob

    def sample(self, num_events: int, *, generator: torch.Generator) -> Tensor:
        chosen = torch.randperm(len(self._events), generator=generator)[:num_events]
        return self._events[chosen]


def _require_events(spec: EventSpec, events: Tensor, whose: str) -> None:
    """Raise unless these are events of the spec, of a type that a split may have."""
    try:
        spec.validate(events)
    except ValueError as error:
        raise ConformanceError(f"{whose} does not keep the task's spec: {error}") from error
    allowed = _DTYPES[isinstance(spec.domain, Discrete)]
    if events.dtype not in allowed:
        names = " or ".join(str(dtype) for dtype in allowed)
        raise ConformanceError(f"{whose} holds {events.dtype}, expected {names}")
