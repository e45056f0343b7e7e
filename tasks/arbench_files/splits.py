"""Splits of the user's data: those the file states, else by the content of each row."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
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
        self, kind: str, path: Path, domain: Domain, parts: Mapping[PartName, Array]
    ) -> None:
        """Take uint8 arrays `(N, *event_shape)` as the file states them and divide what it left.

        Args:
            kind: how the name starts.
            path: where the data came from; only its last part is kept.
            domain: what every dim may be.
            parts: all three splits, or "train" and "test", or "all".

        Raises:
            DataError: if these are other parts, if shapes differ or if a split would be empty.
        """
        splits = divide(parts, path)
        self._splits = {
            name: Split(torch.from_numpy(np.ascontiguousarray(rows)))
            for name, rows in splits.items()
        }
        self.spec = EventSpec(splits["train"].shape[1:], domain)
        self.name = f"{kind}-{content_hash(splits)[:8]}"
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


def divide(parts: Mapping[PartName, Array], path: Path) -> dict[SplitName, Array]:
    """The three splits: as stated, else each row goes where its own content sends it.

    Undivided rows go 80 % to train, 10 % to validation, 10 % to test; a train part without a
    validation part keeps 8/9 of its rows. Equal rows always go to the same split, and adding rows
    moves no other.

    Raises:
        DataError: if other parts are given, if event shapes differ or if a split would be empty.
    """
    check_parts(parts, path)
    shapes = {name: rows.shape[1:] for name, rows in parts.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataError(f"{path}: expected one event shape in all splits, found {found}")
    whole: Array = parts["all"] if "all" in parts else parts["train"]
    if "validation" in parts:
        splits: dict[SplitName, Array] = {name: parts[name] for name in SPLITS}
    else:
        edges = np.cumsum([TRAIN_SHARE, VALIDATION_SHARE])
        shares = row_shares(whole) * (1.0 if "all" in parts else edges[-1])
        place = np.searchsorted(edges, shares, side="right")
        splits = {name: whole[place == index] for index, name in enumerate(SPLITS)}
        if "test" in parts:
            splits["test"] = parts["test"]
    for name, rows in splits.items():
        if len(rows) == 0:
            raise DataError(
                f"{path}: the {name} split holds no rows "
                f"({len(whole)} rows, {len(set(_contents(whole)))} of them different, to divide); "
                "expected enough for train, validation and test, or splits that are stated"
            )
    return splits


def row_shares(rows: Array) -> NDArray[np.float64]:
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


def _contents(rows: Array) -> Iterable[bytes]:
    return (row.tobytes() for row in rows)
