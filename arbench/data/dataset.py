"""A task opened, loaded and hashed once (`data_sha256`); `--limit`."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from arbench.data.padding import padding_fault
from arbench.data.tasks import SPLITS, Split, SplitName, Task, check_events, open_task
from arbench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from arbench.data.labels import Labels
    from arbench.data.streams import PieceWindows, WindowedTask, Windows
    from arbench.probability.layouts import Layout

_HASHED_AT_ONCE = 1 << 22  # dims


class Dataset:
    """A task as one run sees it.

    Each split is loaded when it is first asked for, and kept: its events and its part of the hash
    come from the same load, and so do the windows of a stream. Memory holds what was loaded, until
    the hash is known: from then on only the first `limit` events of a split that was asked for,
    and of a stream its windows. What a run does not need it drops, see `drop`.

    Args:
        task: or its name, see `open_task`; a stream as it is has a hash and no events.
        context: symbols per window, should it be a stream.
        stride: of a stream, from one window to the next; half the context by default.
        limit: only the first so many events of each split; None for all.

    Attributes:
        task: of events, or a stream through windows.
        limit: as given.
        windows: how a stream is seen; None for a task of events, and for pieces.
        pieces: how pieces are seen, whose windows are events in groups; None for any other task.

    Raises:
        ConfigError: if no task has that name, or a stream has no such windows.
    """

    def __init__(
        self,
        task: Task | str,
        *,
        context: int | None = None,
        stride: int | None = None,
        limit: int | None = None,
    ) -> None:
        self.task = open_task(task) if isinstance(task, str) else task
        self.limit = limit
        self.windows: Windows | None = None
        self.pieces: PieceWindows | None = None
        self._windowed: WindowedTask | None = None
        self._stored: dict[SplitName, Split] = {}
        self._splits: dict[SplitName, Split] = {}
        if self.task.needs_windows and context is not None:
            self.task = windows_of(self.task, context, stride)
        if self.task.is_windowed:
            from arbench.data.pieces import WindowedPieces  # most tasks are no streams
            from arbench.data.streams import PieceWindows, WindowedTask, Windows

            assert isinstance(self.task, WindowedTask)
            self._windowed = self.task
            seen = self.task.context, self.task.stride
            if isinstance(self.task, WindowedPieces):
                self.pieces = PieceWindows(*seen, self.task.stream.step_dims)
            else:
                self.windows = Windows(*seen)

    @functools.cached_property
    def sha256(self) -> str:
        """A hash of every event of every split: two machines with equal hashes have equal data.

        Raises:
            DataError: if the data are missing or damaged.
        """
        digest = hashlib.sha256()
        for name in SPLITS:
            split = self.stored(name)
            for tensor in (split.events, split.scored):
                if tensor is not None:
                    digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                    rows = max(1, _HASHED_AT_ONCE // max(1, tensor[:1].numel()))
                    for start in range(0, len(tensor), rows):
                        digest.update(tensor[start : start + rows].contiguous().numpy().data)
        for name in self._splits:
            self._stored.pop(name, None)
        return digest.hexdigest()

    @property
    def part(self) -> str:
        """How less than all the data, or windows of a stream, are seen; empty for all as they are.

        The hash is of all data, whatever is seen of them.
        """
        parts = [] if self.limit is None else [f"limit {self.limit}"]
        if self._windowed is not None:
            parts.append(f"context {self._windowed.context}, stride {self._windowed.stride}")
        return ", ".join(parts)

    def split(self, name: SplitName) -> Split:
        """The first `limit` events of a split, which are what the task says they are.

        Raises:
            DataError: if there are none, or one is not. A resampled train split is left alone: what
                training sees of it is checked epoch by epoch.
        """
        if name not in self._splits:
            split = self.stored(name)
            if self._windowed is not None:
                split = self._windowed.cut(name, split)
            split = split.first(self.limit)
            if len(split) == 0:
                raise DataError(f"{self.task.name}: its {name} split is empty")
            if name != "train" or not self.task.has_training_view:
                check_events(self.task, name, split.events)
            self._splits[name] = split
            if "sha256" in self.__dict__:
                self._stored.pop(name, None)
        return self._splits[name]

    def labels(self, name: SplitName) -> Labels:
        """What the events of `split` are of, one label for each.

        Raises:
            NotImplementedError: unless the task has labels.
            DataError: if there is not one for each event.
        """
        labels, split = self.task.load_labels(name).first(self.limit), self.split(name)
        if len(labels) != len(split):
            raise DataError(
                f"{self.task.name}: its {name} split has {len(split):,} events, and "
                f"{len(labels):,} labels"
            )
        return labels

    def stored(self, name: SplitName) -> Split:
        """The whole split as the task loads it, a stream as one event; this is what is hashed."""
        if name not in self._stored:
            source = self.task if self._windowed is None else self._windowed.stream
            self._stored[name] = source.load(name)
        return self._stored[name]

    def drop(self, *names: SplitName) -> None:
        """Free the memory of splits that are not needed; a later use loads them again."""
        for name in names:
            self._stored.pop(name, None)
            self._splits.pop(name, None)

    def require_likelihood(self, model: str, layouts: Sequence[Layout]) -> None:
        """Refuse a model whose layouts would read the padding of the events.

        All events count, whatever the limit; a stream has no padding, and pieces have.

        Args:
            model: its name.
            layouts: of the density's members.

        Raises:
            ConfigError: with the reason, and what to set instead.
        """
        if layouts[0].site_dim == 1 and all(layout.is_raster for layout in layouts):
            return  # padding is read right by these, so nothing need be loaded
        whole = [self.stored(name) for name in SPLITS]
        if self._windowed is not None and self.task.has_pieces:  # what they lack is padded
            pairs = zip(SPLITS, whole, strict=True)
            whole = [self._windowed.cut(name, split) for name, split in pairs]
        if fault := padding_fault(layouts, [split.scored for split in whole]):
            raise ConfigError(f"{model} on {self.task.name} has no likelihood: {fault}")

    def require_whole_events(self, model: str, does: str) -> None:
        """Refuse a model that needs whole events, if events differ in length.

        Args:
            model: its name.
            does: why it needs them, such as "answers for any order of the dims".

        Raises:
            ConfigError: with the reason, and what to do.
        """
        masks = [self.stored(name).scored for name in SPLITS]
        if any(mask is not None and not bool(mask.all()) for mask in masks):
            raise ConfigError(
                f"{model} {does}, and events of {self.task.name} differ in length, which have a "
                "likelihood in the raster scan alone: take a model of one order"
            )


def windows_of(task: Task, context: int, stride: int | None = None) -> Task:
    """The task itself, or a stream through windows; the stride is half the context by default.

    Raises:
        ConfigError: if a stride is given for a task that is no stream, or is out of its range.
    """
    if task.needs_windows:
        from arbench.data.streams import StreamTask  # most tasks are no streams

        assert isinstance(task, StreamTask)
        return task.windows(context, max(1, context // 2) if stride is None else stride)
    if stride is not None:
        raise ConfigError(f"{task.name} is not a stream, and only a stream has a stride")
    return task
