"""Npz archives of the user's own: which key is which split."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from arbench.errors import DataError
from arbench.experiment.arrays import read_npz
from arbench.experiment.tasks import SPLITS, SplitName
from arbench_files.splits import Array, PartName, check_parts

SPLIT_KEYS: dict[SplitName, str] = {
    "train": r"train|train_data|x_train",
    "validation": r"valid|validation|val|valid_data|validation_data|val_data|x_valid|x_val",
    "test": r"test|test_data|x_test|test_batch_x",
}
BATCH_KEYS = r"data_batch_\d+_x"  # CIFAR-10's names: parts of train, joined in their order


def read_parts(path: Path, min_ndim: int) -> dict[PartName, dict[str, Array]]:
    """The arrays of each part of the data, by their keys; CIFAR-10's train batches are several.

    Keys that name a split make that split. Without any, the one array of at least `min_ndim`
    axes is all the data. Arrays with fewer axes under other keys, labels and counts, are left out.

    Raises:
        DataError: if the archive is damaged or if it is not clear which array is which split.
    """
    arrays = read_npz(path)
    parts: dict[PartName, dict[str, Array]] = {}
    for split in SPLITS:
        keys = [key for key in arrays if re.fullmatch(SPLIT_KEYS[split], key)]
        batches = [key for key in arrays if re.fullmatch(BATCH_KEYS, key)]
        if split == "train" and not keys:
            keys = sorted(batches, key=lambda key: int(key.split("_")[2]))
        elif len(keys) > 1 or (split == "train" and batches):
            raise DataError(
                f"{path}: expected one {split} array, found {', '.join(keys + batches)}"
            )
        if keys:
            parts[split] = {key: arrays[key] for key in keys}
    named = {key for part in parts.values() for key in part}
    others = [key for key in arrays if key not in named and arrays[key].ndim >= min_ndim]
    if parts and others:
        raise DataError(
            f"{path}: {others[0]!r} is of no split that is known by its name; "
            "expected train_data, valid_data and test_data"
        )
    if not parts:
        if len(others) != 1:
            found = ", ".join(f"{key} {array.shape}" for key, array in arrays.items()) or "nothing"
            raise DataError(
                f"{path}: expected train_data, valid_data and test_data, or one array of "
                f"{min_ndim} or more axes; found {found}"
            )
        parts["all"] = {others[0]: arrays[others[0]]}
    check_parts(parts, path)
    return parts


def join(arrays: dict[str, Array], path: Path) -> Array:
    """The arrays of one part as one, all rows of the first, then of the next.

    Raises:
        DataError: if their rows differ in shape.
    """
    if len({array.shape[1:] for array in arrays.values()}) > 1:
        found = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
        raise DataError(f"{path}: expected rows of one shape, found {found}")
    return np.ascontiguousarray(np.concatenate(list(arrays.values())))
