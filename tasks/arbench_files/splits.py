"""The base class of tasks on the user's own data: stated splits, or divided by a rule."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from arbench import (
    SPLITS,
    ConfigError,
    DataError,
    Division,
    DivisionRule,
    EventSpec,
    Split,
    SplitName,
    Task,
)
from arbench_files.division import Array, Indices, PartName, places


class FileTask(Task):
    """Data of the user's own, named after the content and never after the path.

    The name is the kind and the first 8 digits of a sha256 over the splits' events. So equal data
    in equal splits have one name, whatever file they come from. No result stands on a board.
    """

    version = "2"
    public = False

    def __init__(
        self,
        kind: str,
        path: Path,
        spec: EventSpec,
        parts: Mapping[PartName, Sequence[Array] | Array],
        *,
        rule: DivisionRule | None,
        usual: DivisionRule,
    ) -> None:
        """Divide the data if they state no splits.

        Args:
            kind: how the name starts.
            path: where the data are; only the last part is kept.
            spec: shape and domain of the events.
            parts: rows or images `(N, *event_shape)`, or recordings, uint8.
            rule: the rule that the user chose, or None.
            usual: the rule for None.

        Raises:
            ConfigError: if the user chose a rule, but the data state their splits.
            DataError: if a split would be empty.
        """
        stated = set(parts) == set(SPLITS)
        if stated and rule is not None:
            raise ConfigError(
                f"{path} states its three splits, so there is nothing to divide: leave out "
                f"?split={rule}"
            )
        self.spec = spec
        self.source = path.resolve().name
        self._kind, self._parts, self._usual = kind, parts, usual
        self._grouped = self.group  # the subclass's own group, such as the file of a window
        self._divide(None if stated else Division(rule=rule or usual), path)

    def as_of(self, version: str, division: Division | None) -> FileTask:
        """The same data as a run of another version or division read them."""
        if (version, division) == (self.version, self.division):
            return self
        other = copy.copy(self)
        other.version = version
        other._divide(division, Path(self.source))
        return other

    def with_parts(
        self, parts: Mapping[PartName, Sequence[Array] | Array], spec: EventSpec
    ) -> Self:
        """The same items in the same order, read as events of another spec."""
        other = copy.copy(self)
        other._parts, other.spec = parts, spec
        other._divide(other.division, Path(self.source))
        return other

    def _divide(self, division: Division | None, path: Path) -> None:
        self.division = division
        self._of_works = (self._usual if division is None else division.rule) == "files"
        word = "file" if self._usual == "files" else "row"
        self.group = f"distinct {word}" if self._of_works else self._grouped
        self._places = places(self._parts, path, division)
        self.name = f"{self._kind}-{content_hash({s: self.load(s) for s in SPLITS})[:8]}"

    def load(self, split: SplitName) -> Split:
        """The events `(N, *event_shape)` of a split; all copies of a work are one group."""
        found = self.events_of(*self._places[split])
        works = self.works(split)
        if works is None:
            return found
        return replace(found, groups=works if found.groups is None else works[found.groups])

    def works(self, split: SplitName) -> Tensor | None:
        """The number of each item's work, in the order of items; None where each is a draw."""
        if not self._of_works:
            return None
        part, indices = self._places[split]
        return work_numbers([self._parts[part][index] for index in indices])

    def events_of(self, part: PartName, indices: Indices) -> Split:
        """The events of some items of a part, in their order; an item is an event by default."""
        items = self._parts[part]
        assert isinstance(items, np.ndarray)
        # All of them as they are: a part may be larger than memory.
        own = items if len(indices) == len(items) else items[indices]
        return Split(torch.from_numpy(np.ascontiguousarray(own)))


def one_shape(parts: Mapping[PartName, Array], path: Path) -> tuple[int, ...]:
    """The event shape of arrays `(N, *event_shape)`.

    Raises:
        DataError: if their shapes differ.
    """
    shapes = {name: rows.shape[1:] for name, rows in parts.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataError(f"{path}: expected one event shape in all splits, found {found}")
    return next(iter(shapes.values()))


def work_numbers(items: Sequence[Array]) -> Tensor:
    """The number of each item's work, `(N,)` int64, in order of first occurrence."""
    numbers: dict[bytes, int] = {}
    return torch.tensor([numbers.setdefault(item.tobytes(), len(numbers)) for item in items])


def content_hash(splits: Mapping[SplitName, Split]) -> str:
    """The sha256 of the splits' names, shapes and events, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in SPLITS:
        events = splits[name].events.numpy()
        digest.update(f"{name} {events.shape}\n".encode())
        digest.update(np.ascontiguousarray(events).data)
    return digest.hexdigest()
