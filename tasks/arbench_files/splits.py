"""Splits of the user's data: those the file states, else by the content of each row."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from arbench.errors import DataError
from arbench.experiment.tasks import SPLITS, Split, SplitName, Task
from arbench.probability.events import Domain, EventSpec

PartName = Literal["train", "validation", "test", "all"]
Array = NDArray[Any]
TRAIN_SHARE = 0.8
VALIDATION_SHARE = 0.1


class FileTask(Task):
    """Data of the user's own, named after its content and never after its path.

    The name is the kind and the first 8 digits of a sha256 over the splits' events, so equal data
    have one name, whatever file they come from. No result on it stands on a board.
    """

    version = "1"
    public = False

    def __init__(
        self, kind: str, path: Path, domain: Domain, splits: Mapping[SplitName, Split]
    ) -> None:
        """Take what is divided already.

        Args:
            kind: how the name starts.
            path: where the data came from; only its last part is kept.
            domain: what every dim may be.
            splits: all three, with uint8 events `(N, *event_shape)`.
        """
        self._splits = dict(splits)
        self.spec = EventSpec(tuple(splits["train"].events.shape[1:]), domain)
        events = {name: split.events.numpy() for name, split in splits.items()}
        self.name = f"{kind}-{content_hash(events)[:8]}"
        self.source = path.resolve().name

    def load(self, split: SplitName) -> Split:
        """The events `(N, *event_shape)` of a split, uint8."""
        return self._splits[split]


def check_parts(found: Collection[str], path: Path) -> None:
    """Refuse parts of which nobody has said what the missing ones would be.

    Raises:
        DataError: unless they are all three splits, or train and test, or everything undivided.
    """
    if set(found) not in ({"all"}, {"train", "test"}, set(SPLITS)):
        raise DataError(
            f"{path}: found {' and '.join(found)} alone, expected train, validation and test, "
            "or train and test, or all rows undivided"
        )


def divided(parts: Mapping[PartName, Array], path: Path) -> dict[SplitName, Split]:
    """`divide` for a task: events without padding."""
    return {
        name: Split(torch.from_numpy(np.ascontiguousarray(rows)))
        for name, rows in divide(parts, path).items()
    }


def divide(parts: Mapping[PartName, Array], path: Path) -> dict[SplitName, Array]:
    """The three splits of arrays `(N, *event_shape)`; see `places`.

    Raises:
        DataError: if other parts are given, if event shapes differ or if a split would be empty.
    """
    shapes = {name: rows.shape[1:] for name, rows in parts.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataError(f"{path}: expected one event shape in all splits, found {found}")
    return {split: parts[part][rows] for split, (part, rows) in places(parts, path).items()}


def places(
    parts: Mapping[PartName, Sequence[Array] | Array], path: Path
) -> dict[SplitName, tuple[PartName, NDArray[np.int64]]]:
    """Of which part, and of which rows of it, each split is: as stated, else by content.

    Undivided rows go 80 % to train, 10 % to validation, 10 % to test; a train part without a
    validation part keeps 8/9 of its rows. Equal rows always go to the same split, and adding rows
    moves no other. Rows need not have one shape.

    Raises:
        DataError: if other parts are given or if a split would be empty.
    """
    check_parts(parts, path)
    found: dict[SplitName, tuple[PartName, NDArray[np.int64]]] = {
        name: (name, np.arange(len(parts[name]))) for name in SPLITS if name in parts
    }
    if "validation" not in parts:
        whole: PartName = "all" if "all" in parts else "train"
        edges = np.cumsum([TRAIN_SHARE, VALIDATION_SHARE])
        shares = row_shares(parts[whole]) * (1.0 if whole == "all" else edges[-1])
        place = np.searchsorted(edges, shares, side="right")
        for index, name in enumerate(SPLITS):
            if name != "test" or whole == "all":
                found[name] = (whole, np.flatnonzero(place == index))
    for name, (part, chosen) in found.items():
        if len(chosen) == 0:
            rows = parts[part]
            raise DataError(
                f"{path}: the {name} split holds no rows "
                f"({len(rows)} rows, {len(set(_contents(rows)))} of them different, to divide); "
                "expected enough for train, validation and test, or splits that are stated"
            )
    return {name: found[name] for name in SPLITS}


def row_shares(rows: Iterable[Array]) -> NDArray[np.float64]:
    """A number `(N,)` in [0, 1) for each row, a function of its content alone."""
    digests = (hashlib.sha256(content).digest() for content in _contents(rows))
    # 53 bits, so that the quotient is exact and below 1.
    numbers = [(int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53 for digest in digests]
    return np.array(numbers, dtype=np.float64)


def content_hash(splits: Mapping[SplitName, Array]) -> str:
    """The sha256 of the splits' names, shapes and uint8 events, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in SPLITS:
        digest.update(f"{name} {splits[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(splits[name]).data)
    return digest.hexdigest()


def _contents(rows: Iterable[Array]) -> Iterable[bytes]:
    return (row.tobytes() for row in rows)
