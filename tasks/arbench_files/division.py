"""Divides rows or files into splits if the data state none."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from arbench import SPLITS, DataError, Division, SplitName, random_order

PartName = Literal["train", "validation", "test", "all"]
Array = NDArray[Any]
Indices = NDArray[np.int64]
Places = dict[SplitName, tuple[PartName, Indices]]
_KEY = 0x73706C6974  # "split": no order of a layout is drawn from this stream


def check_parts(found: Collection[str], path: Path) -> None:
    """Refuse parts that leave open what the missing splits are.

    Raises:
        DataError: unless the parts are all three splits, or train and test, or all data undivided.
    """
    if set(found) not in ({"all"}, {"train", "test"}, set(SPLITS)):
        raise DataError(
            f"{path}: found {' and '.join(found)} alone, expected train, validation and test, "
            "or train and test, or all rows undivided"
        )


def places(
    parts: Mapping[PartName, Sequence[Array] | Array], path: Path, division: Division | None
) -> Places:
    """The part that each split comes from, and the indices of its items there, in order.

    Of undivided items, 80 % go to train, 10 % to validation and 10 % to test. If only train and
    test are stated, a ninth of train becomes validation.

    Args:
        parts: rows, images or recordings; they may differ in shape.
        path: what an error message names.
        division: the rule and its seed; None divides by content, as version 1 did.

    Raises:
        DataError: for other combinations of parts, or if a split would be empty.
    """
    check_parts(parts, path)
    found: Places = {name: (name, np.arange(len(parts[name]))) for name in SPLITS if name in parts}
    if "validation" not in parts:
        whole: PartName = "all" if "all" in parts else "train"
        names = SPLITS if whole == "all" else SPLITS[:2]
        items = parts[whole]
        if division is None:
            chosen = _by_content(items, len(names))
        elif division.rule == "rows":
            chosen = _by_index(len(items), len(names), division.seed)
        else:
            chosen = _by_work(items, len(names), division.seed)
        found |= {name: (whole, indices) for name, indices in zip(names, chosen, strict=True)}
    for name, (part, indices) in found.items():
        if len(indices) == 0:
            items = parts[part]
            raise DataError(
                f"{path}: {len(items):,} to divide, {len(set(_contents(items))):,} of them "
                f"different, leave nothing for the {name} split; expected enough for train, "
                "validation and test, or splits that are stated"
            )
    return {name: found[name] for name in SPLITS}


def _by_index(count: int, num_splits: int, seed: int) -> list[Indices]:
    """Random indices in splits of exact sizes; the content of items does not matter."""
    return [np.sort(part) for part in _shared_out(random_order(count, _KEY, seed), num_splits)]


def _by_work(items: Iterable[Array], num_splits: int, seed: int) -> list[Indices]:
    """Random works in splits of exact sizes; equal items are one work and stay together.

    The random number of a work depends only on its content, so renaming a file moves nothing.
    """
    works: dict[bytes, list[int]] = {}
    for index, content in enumerate(_contents(items)):
        key = hashlib.sha256(f"{seed}\n".encode() + content).digest()
        works.setdefault(key, []).append(index)
    order = np.arange(len(works))
    copies = [works[key] for key in sorted(works)]
    return [
        np.array(sorted(index for work in part for index in copies[work]), dtype=np.int64)
        for part in _shared_out(order, num_splits)
    ]


def _shared_out(order: Indices, num_splits: int) -> list[Indices]:
    """Cut an order into train, validation and, of three splits, test.

    Validation and test each get a tenth (of two splits, validation gets a ninth), and at least one
    item. With too few items, train is empty.
    """
    share = max(1, len(order) // (10 if num_splits == 3 else 9))
    ends = [len(order) - share * later for later in range(num_splits - 1, -1, -1)]
    starts = [0, *ends[:-1]]
    return [order[max(0, start) : max(0, end)] for start, end in zip(starts, ends, strict=True)]


def _by_content(items: Iterable[Array], num_splits: int) -> list[Indices]:
    """The rule of version 1: all copies of a row are in one split, so test is not like the data.

    Only runs of version 1 use it.
    """
    edges = np.cumsum([0.8, 0.1])
    shares = row_shares(items) * (1.0 if num_splits == 3 else edges[-1])
    place = np.searchsorted(edges, shares, side="right")
    return [np.flatnonzero(place == index) for index in range(num_splits)]


def row_shares(rows: Iterable[Array]) -> NDArray[np.float64]:
    """A number `(N,)` in [0, 1) for each row; it depends only on the row's content."""
    digests = (hashlib.sha256(content).digest() for content in _contents(rows))
    # 53 bits, so that the quotient is exact and below 1.
    numbers = [(int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53 for digest in digests]
    return np.array(numbers)


def _contents(rows: Iterable[Array]) -> Iterable[bytes]:
    return (row.tobytes() for row in rows)
