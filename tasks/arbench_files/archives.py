"""Npz archives of the user's own: which key is which split."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from arbench import SPLITS, ArrayHeader, DataError, SplitName, read_npz, read_npz_headers
from arbench_files.division import Array, PartName, check_parts

SPLIT_KEYS: dict[SplitName, str] = {
    "train": r"train|train_data|x_train",
    "validation": r"valid|validation|val|valid_data|validation_data|val_data|x_valid|x_val",
    "test": r"test|test_data|x_test|test_batch_x",
}
BATCH_KEYS = r"data_batch_\d+_x"  # CIFAR-10's names: parts of train, joined in their order


def read_parts(
    path: Path, min_ndim: int, check: Callable[[str, ArrayHeader], None]
) -> dict[PartName, dict[str, Array]]:
    """The arrays of each part of the data, by their keys; CIFAR-10's train batches are several.

    A key that names a split gives that split. If no key does, the only array with at least
    `min_ndim` axes is all the data. Arrays with fewer axes under other keys (labels, counts) are
    skipped.

    Args:
        path: the archive.
        min_ndim: the smallest number of axes of data.
        check: refuses an array by key and header, before any is unpacked.

    Raises:
        DataError: if the archive is damaged or if it is not clear which array is which split.
    """
    headers = read_npz_headers(path)
    parts = _keys_of_parts(headers, min_ndim, path)
    check_parts(parts, path)
    for keys in parts.values():
        for key in keys:
            check(key, headers[key])
    arrays = read_npz(path, [key for keys in parts.values() for key in keys])
    return {part: {key: arrays[key] for key in keys} for part, keys in parts.items()}


def _keys_of_parts(
    headers: dict[str, ArrayHeader], min_ndim: int, path: Path
) -> dict[PartName, list[str]]:
    parts: dict[PartName, list[str]] = {}
    for split in SPLITS:
        keys = [key for key in headers if re.fullmatch(SPLIT_KEYS[split], key)]
        batches = [key for key in headers if re.fullmatch(BATCH_KEYS, key)]
        if split == "train" and not keys:
            keys = sorted(batches, key=lambda key: int(key.split("_")[2]))
        elif len(keys) > 1 or (split == "train" and batches):
            raise DataError(
                f"{path}: expected one {split} array, found {', '.join(keys + batches)}"
            )
        if keys:
            parts[split] = keys
    named = {key for keys in parts.values() for key in keys}
    others = [
        key for key, header in headers.items() if key not in named and len(header.shape) >= min_ndim
    ]
    if parts and others:
        raise DataError(
            f"{path}: the key {others[0]!r} names no split; expected train_data, valid_data and "
            "test_data"
        )
    if not parts:
        if len(others) != 1:
            found = ", ".join(f"{key} {header.shape}" for key, header in headers.items())
            raise DataError(
                f"{path}: expected train_data, valid_data and test_data, or one array of "
                f"{min_ndim} or more axes; found {found or 'nothing'}"
            )
        parts["all"] = others
    return parts


def join(arrays: dict[str, Array], path: Path) -> Array:
    """All arrays of one part as one array, in order.

    Raises:
        DataError: if their rows differ in shape.
    """
    if len({array.shape[1:] for array in arrays.values()}) > 1:
        found = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
        raise DataError(f"{path}: expected rows of one shape, found {found}")
    first, *others = arrays.values()  # one alone as it is: it may be larger than memory
    return np.ascontiguousarray(np.concatenate([first, *others]) if others else first)
