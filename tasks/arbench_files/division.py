"""Which row or file goes to which split, where the data do not say it themselves."""

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
    """Refuse parts of which nobody has said what the missing ones would be.

    Raises:
        DataError: unless they are all three splits, or train and test, or everything undivided.
    """
    if set(found) not in ({"all"}, {"train", "test"}, set(SPLITS)):
        raise DataError(
            f"{path}: found {' and '.join(found)} alone, expected train, validation and test, "
            "or train and test, or all rows undivided"
        )


def places(
    parts: Mapping[PartName, Sequence[Array] | Array], path: Path, division: Division | None
) -> Places:
    """Of which part, and of which items of it in their order, each split is.

    Undivided items go 80 % to train, 10 % to validation, 10 % to test; of a train part without a
    validation part every ninth becomes that.

    Args:
        parts: rows, images or recordings, which need not have one shape.
        path: what an error message names.
        division: how; None is by content, as the first version did it.

    Raises:
        DataError: if other parts are given or if a split would be empty.
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
    """Random items of exact numbers, whatever they hold; item i is drawn by the i-th number."""
    return [np.sort(part) for part in _shared_out(random_order(count, _KEY, seed), num_splits)]


def _by_work(items: Iterable[Array], num_splits: int, seed: int) -> list[Indices]:
    """Random works of exact numbers; a work is what is equal, and its copies go with it.

    The number of a work is one of its content alone: another name of its file moves it nowhere.
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
    """Train, validation and perhaps test of an order: a tenth each, or a ninth, and at least one.

    Fewer than one for each leaves train without any.
    """
    share = max(1, len(order) // (10 if num_splits == 3 else 9))
    ends = [len(order) - share * later for later in range(num_splits - 1, -1, -1)]
    starts = [0, *ends[:-1]]
    return [order[max(0, start) : max(0, end)] for start, end in zip(starts, ends, strict=True)]


def _by_content(items: Iterable[Array], num_splits: int) -> list[Indices]:
    """The rule of version 1: all copies of a row meet in one split, so nothing draws as the data.

    Only runs from then are divided so.
    """
    edges = np.cumsum([0.8, 0.1])
    shares = row_shares(items) * (1.0 if num_splits == 3 else edges[-1])
    place = np.searchsorted(edges, shares, side="right")
    return [np.flatnonzero(place == index) for index in range(num_splits)]


def row_shares(rows: Iterable[Array]) -> NDArray[np.float64]:
    """A number `(N,)` in [0, 1) for each row, a function of its content alone."""
    digests = (hashlib.sha256(content).digest() for content in _contents(rows))
    # 53 bits, so that the quotient is exact and below 1.
    numbers = [(int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53 for digest in digests]
    return np.array(numbers)


def _contents(rows: Iterable[Array]) -> Iterable[bytes]:
    return (row.tobytes() for row in rows)
