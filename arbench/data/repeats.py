"""Counts events that repeat within or between the splits of a user's own data."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbench.data.rendering import ImageRendering, TableRendering
from arbench.data.tasks import SPLITS, Division, Split, SplitName
from arbench.probability.events import EventSpec, Real

if TYPE_CHECKING:
    from arbench.data.dataset import Dataset

Keys = NDArray[np.uint64]


def describe_own(dataset: Dataset) -> list[str]:
    """Lines about the user's own events: what and how many they are, and how many repeat others.

    There are none about a stream, which is one text. Of what comes with arbench the task's README
    says such things.
    """
    if dataset.task.public or dataset.windows is not None:
        return []
    splits = {name: dataset.split(name) for name in SPLITS}
    rendering = dataset.task.rendering
    lines = describe_splits(dataset.task.division, splits)
    if isinstance(rendering, ImageRendering) and (pixels := str(rendering)):
        lines.append(f"pixels  {pixels}")
    if isinstance(rendering, TableRendering) and (columns := str(rendering)):
        lines.append(f"columns {columns} (number of values, or real)")
        lines += _repeating_columns(dataset.task.spec, rendering, splits["train"].events)
    return lines


def _repeating_columns(spec: EventSpec, rendering: TableRendering, rows: Tensor) -> list[str]:
    """Notes on real columns whose values come twice on average: their density has no bound."""
    domains, notes = spec.dim_domains, []
    for number, column in enumerate(rendering.columns or ()):
        if isinstance(domains[number % len(domains)], Real):
            distinct = len(torch.unique(rows[:, number]))
            if 2 * distinct <= len(rows):
                name = column.name or number
                notes.append(
                    f"note    column {name} holds {distinct:,} different numbers: a narrow density "
                    f"of each can be as high as the head allows; ?category={name} asks for "
                    "probabilities"
                )
    return notes


def describe_splits(division: Division | None, splits: Mapping[SplitName, Split]) -> list[str]:
    """Lines for people: how many events are where, and how many of them repeat others.

    Args:
        division: how the splits were made; None if the data state them.
        splits: all three.
    """
    keys = {name: _keys(splits[name]) for name in SPLITS}
    how = "as stated" if division is None else str(division)
    sizes = ", ".join(f"{len(keys[name]):,} {name}" for name in SPLITS)
    lines = [f"splits  {how}: {sizes} events", f"repeats {_repeats(keys)}"]
    lines += [
        f"note    {name} holds a single distinct event: a number on it says nothing about others"
        for name, found in keys.items()
        if name != "train" and len(np.unique(found)) == 1
    ]
    return lines


def _repeats(keys: Mapping[SplitName, Keys]) -> str:
    """How many events equal an earlier one of their split, and how many one of an earlier split."""
    within = [
        f"{count:,} of {name}"
        for name, found in keys.items()
        if (count := len(found) - len(np.unique(found)))
    ]
    across = [
        f"{count:,} of {later} in {earlier}"
        for earlier, later in itertools.combinations(SPLITS, 2)
        if (count := int(np.isin(keys[later], keys[earlier]).sum()))
    ]
    return f"within a split {', '.join(within) or 'none'}; across {', '.join(across) or 'none'}"


def _keys(split: Split) -> Keys:
    """A hash of each event and of which dims of it are scored, `(N,)`."""
    parts = [split.events] if split.scored is None else [split.events, split.scored]
    rows = zip(*(part.numpy() for part in parts), strict=True)
    hashes = (
        hashlib.blake2b(b"".join(part.tobytes() for part in row), digest_size=8) for row in rows
    )
    numbers = (int.from_bytes(each.digest(), "little") for each in hashes)
    return np.fromiter(numbers, np.uint64, len(split))
