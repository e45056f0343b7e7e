"""The contract of a task: `Task`, `Split`, `Division`, and how a task is opened by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor

from arbench.data.rendering import Rendering, natural_rendering
from arbench.errors import ConfigError, DataError
from arbench.files.documents import Part
from arbench.probability.events import EventSpec
from arbench.registry.entries import TaskEntry
from arbench.registry.manager import registry, split_argument

if TYPE_CHECKING:
    from arbench.data.labels import Labels
    from arbench.data.sources import SourceFile

SplitName = Literal["train", "validation", "test"]
"""The name of a split."""

SPLITS: tuple[SplitName, ...] = get_args(SplitName)
"""The names of all splits."""

DivisionRule = Literal["rows", "files"]
"""What equal rows are when data are divided: repeats, or one work; see `Division`."""

DIVISION_RULES: tuple[DivisionRule, ...] = get_args(DivisionRule)
"""The names of all rules."""


_WINDOWS_IN_A_GROUP = 8  # of a stream, whose windows nobody knows to be independent


@dataclass(frozen=True)
class Split:
    """The events of one split.

    Attributes:
        events: `(N, *event_shape)`; uint8 or int64 for discrete domains, float32 for real ones.
            The train split of a task with a `training_view` holds what that view starts from (for
            instance grey levels), not yet events.
        scored: `(N, *event_shape)` boolean, which dims count; None when all do.
        groups: `(N,)` int64; events with one number are not independent, such as windows of one
            recording. None when all events are. Standard errors and tests are over groups.
        is_stream: whether the events are windows over one sequence, in its order, whose scored
            dims follow one another: nobody knows which are independent, and errors are over blocks.
    """

    events: Tensor
    scored: Tensor | None = None
    groups: Tensor | None = None
    is_stream: bool = False

    def __post_init__(self) -> None:
        """Check that every event has a group.

        Raises:
            ValueError: if there is not one whole number for each.
        """
        groups = self.groups
        if groups is None:
            return
        if groups.shape != (len(self.events),) or groups.dtype != torch.int64:
            raise ValueError(
                f"groups are int64, one for each of {len(self.events):,} events; got "
                f"{tuple(groups.shape)} {groups.dtype}"
            )

    def __len__(self) -> int:
        return len(self.events)

    def first(self, limit: int | None) -> Split:
        """The first `limit` events in memory of their own, so that the others can go; or itself."""
        if limit is None or limit >= len(self.events):
            return self
        scored = None if self.scored is None else self.scored[:limit].clone()
        groups = None if self.groups is None else self.groups[:limit].clone()
        return Split(self.events[:limit].clone(), scored, groups, self.is_stream)

    def spread(self, most: int) -> Tensor:
        """The rows of at most so many events, evenly spaced; of a stream, of its first windows.

        The first events alone may be of one kind: some data sets are ordered by class.
        """
        count = min(most, len(self))
        rows = torch.arange(count)
        return rows if self.is_stream else rows * len(self) // max(1, count)

    def take(self, rows: Tensor) -> Split:
        """The events of some rows `(M,)` in their order, in memory of their own; or itself."""
        if len(rows) == len(self):
            return self
        scored = None if self.scored is None else self.scored[rows]
        groups = None if self.groups is None else self.groups[rows]
        return Split(self.events[rows], scored, groups, self.is_stream)

    @property
    def dependent(self) -> Tensor | None:
        """The group of each event, `(N,)` int64; of a stream, a few windows in a row are one.

        None if all events are independent. For the errors of a part of a stream.
        """
        if self.is_stream:
            return torch.arange(len(self)) // _WINDOWS_IN_A_GROUP
        return self.groups

    @property
    def num_groups(self) -> int | None:
        """How many groups of events are independent; None of a stream, whose values decide it."""
        if self.is_stream:
            return None
        return len(self) if self.groups is None else len(torch.unique(self.groups))

    @property
    def scored_dims(self) -> Tensor:
        """How many dims of each event are scored, `(N,)` int64."""
        if self.scored is None:
            return torch.full((len(self),), self.events[0].numel() if len(self) else 0)
        return self.scored.flatten(1).sum(1)

    @property
    def num_scored_dims(self) -> int:
        """Scored dims, summed over the events: the denominator of bits per dim."""
        return int(self.scored_dims.sum())

    def num_events_also_in(self, other: Split) -> int:
        """How many of these events have an equal one in another split, for a task's README."""
        there = set(_rows(other.events))
        return sum(row in there for row in _rows(self.events))


def _rows(events: Tensor) -> list[bytes]:
    return [event.tobytes() for event in events.numpy()]


class Division(Part):
    """How a user's data were divided into splits: enough to divide them so again.

    Attributes:
        rule: "rows" takes repeats for data, as draws have them; "files" takes what is equal for one
            work, which has to be in one split.
        version: of the rule.
        seed: keys every draw.
    """

    rule: DivisionRule
    version: Literal[1] = 1
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0

    def __str__(self) -> str:
        """In a few words, for people."""
        return f"by {self.rule} (rule version {self.version}, seed {self.seed})"


class Task(ABC):
    """A data set with a fixed meaning.

    Attributes:
        name: what users type.
        version: changes whenever any event of any split changes.
        spec: shape and domain of the events.
        unit: what one dim is: "dim", "pixel", "char", "byte", "sample" or "key".
        group: what is independent of others of its kind, in a word: "event", or what
            `Split.groups` are, such as "recording".
        source: where the data come from, a citation with an address.
        pinned: whether every source file has a known sha256; a task that is not pinned is on no
            board.
        public: whether results may stand on a board; False for the user's own files.
        files: the source files that `load` and `load_labels` fetch, for `arbench data`;
            empty when there are none to fetch.
        division: how splits were made of data that state none; None where nothing was divided.
        shared_events: how many events of the first split have an equal one in the second, where
            the data repeat themselves; `arbench check` counts them. None where nobody has seen the
            data, such as files that nobody has pinned.
        draws_pixels: whether a pixel of its binary images is 1 with probability grey level / 255;
            grey images of the user's own are then made events likewise.
        hub_datasets: the data sets on the Hugging Face Hub that hold these data, or what they were
            made from, such as "ylecun/mnist"; cards of models name them.
        needs_windows: whether it is a stream, which has events only once a context is chosen.
        is_windowed: whether its events are the windows of a stream.
        has_pieces: whether that stream is several pieces, such as of music; see `PieceTask`.
    """

    name: str
    version: str
    spec: EventSpec
    unit: str = "dim"
    group: str = "event"
    source: str = ""
    pinned: bool = True
    public: bool = True
    files: tuple[SourceFile, ...] = ()
    division: Division | None = None
    shared_events: ClassVar[Mapping[tuple[SplitName, SplitName], int] | None] = MappingProxyType({})
    draws_pixels: ClassVar[bool] = False
    hub_datasets: ClassVar[tuple[str, ...]] = ()
    needs_windows: ClassVar[bool] = False
    is_windowed: ClassVar[bool] = False
    has_pieces: ClassVar[bool] = False

    @property
    def rendering(self) -> Rendering:
        """How events are shown to people; by default images if they can be drawn, else rows.

        A task of texts or sounds overrides it, with a property or a plain attribute.
        """
        return natural_rendering(self.spec)

    @property
    def has_training_view(self) -> bool:
        """Whether training sees something else than what is stored, anew in every epoch."""
        return type(self).training_view is not Task.training_view

    @property
    def has_true_log_prob(self) -> bool:
        """Whether the data come from a known distribution."""
        return type(self).true_log_prob is not Task.true_log_prob

    @property
    def has_labels(self) -> bool:
        """Whether anybody knows what the events are of."""
        return type(self).load_labels is not Task.load_labels

    def as_of(self, version: str, division: Division | None) -> Task:
        """The same data as a run found them, whose configuration holds these two.

        A task of the user's own that has learned to read or to divide its files otherwise keeps the
        old ways for old runs; every other task is what it is.
        """
        return self

    def as_events_of(self, spec: EventSpec, rendering: Rendering) -> Task:
        """The same data as events of a trained model, whose spec and rendering these are.

        Data of the user's own become what the model knows: letters have its values, grey images are
        black and white. Every other task is what it is.

        Raises:
            DataError: if the data hold what no event of the model can say.
        """
        return self

    @abstractmethod
    def load(self, split: SplitName) -> Split:
        """The events of a split: deterministic, the same on every machine.

        Raises:
            DataError: if the data are missing or damaged.
        """

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        """What training sees of the train split in one epoch, for instance a fresh binarisation.

        Called once per epoch with all train events in their order and a generator seeded by
        (seed, epoch), so that what event i looks like depends on (seed, epoch, i) alone.
        Validation and test never pass through here.

        Args:
            events: `(N, *event_shape)`, as loaded.
            generator: the only source of randomness allowed.

        Returns:
            `(N, *event_shape)` events that satisfy the spec.
        """
        return events

    def true_log_prob(self, events: Tensor) -> Tensor:
        """Log-probability `(B,)` in nats, float64, under the distribution the data come from.

        Raises:
            NotImplementedError: unless the task is synthetic.
        """
        raise NotImplementedError(f"{self.name} is not synthetic: nobody knows its true density")

    def load_labels(self, split: SplitName) -> Labels:
        """What each event of a split is of, in the order of `load`; never seen in training.

        Raises:
            NotImplementedError: unless the task has labels.
        """
        raise NotImplementedError(f"{self.name} has no labels")


def open_task(text: str) -> Task:
    """The task of that name; what follows a colon is the task's argument, as in `images:PATH`.

    Raises:
        ConfigError: if no task has that name, or an argument is missing or not expected.
    """
    name, argument = split_argument(text)
    registered = registry().find(TaskEntry, name)
    entry = registered.entry
    if entry.argument is None and argument is not None:
        raise ConfigError(f"task {name!r} takes no argument, got {text!r}; write --task {name}")
    if entry.argument is not None and not argument:
        raise ConfigError(f"task {name!r} needs an argument: --task {name}:{entry.argument}")
    task_class = registered.load()
    task: Task = task_class() if argument is None else task_class(argument)
    return task


def group_of(name: str) -> str:
    """What is independent in the data of a task, by the name in a record; nothing is loaded.

    A task that is not installed says nothing: "event".
    """
    task = task_class(name)
    return "event" if task is None else task.group


def task_class(name: str) -> type[Task] | None:
    """The class of a task, by the name in a run; nothing is loaded. None if it is not installed.

    Data of the user's own are called after the task that reads them, such as "text-1f2e3d4c".
    """
    tasks = registry().tasks
    registered = tasks.get(name) or tasks.get(name.partition("-")[0])
    return None if registered is None else registered.load()


def check_events(task: Task, split: SplitName, events: Tensor) -> None:
    """Check that events are what the task says they are; elsewhere no likelihood means anything.

    Raises:
        DataError: with the first event that is not.
    """
    try:
        task.spec.validate(events)
    except ValueError as error:
        raise DataError(
            f"{task.name}, {split}: {error}; the task does not keep its own spec"
        ) from error
