"""The four raw files of MNIST: grey levels, the bits drawn from them, and digits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from arbench import Labels, SourceFile, SplitName, fetch, uniforms

SIDE = 28
NUM_PIXELS = SIDE * SIDE
NUM_TRAIN = 50_000  # of the 60,000 training digits; the last 10,000 are validation
DIGITS = tuple("0123456789")
_ROWS: dict[SplitName, slice] = {  # of the raw train or test files
    "train": slice(NUM_TRAIN),
    "validation": slice(NUM_TRAIN, None),
    "test": slice(None),
}
_IMAGE_HEADER = 16  # bytes: magic number, count, height, width
_LABEL_HEADER = 8  # bytes: magic number, count


TRAIN_IMAGES = SourceFile(
    path="MNIST/raw/train-images-idx3-ubyte",
    urls=(),
    sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    size=47_040_016,
    dataset="MNIST",
)
TRAIN_LABELS = SourceFile(
    path="MNIST/raw/train-labels-idx1-ubyte",
    urls=(),
    sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    size=60_008,
    dataset="MNIST",
)
TEST_IMAGES = SourceFile(
    path="MNIST/raw/t10k-images-idx3-ubyte",
    urls=(),
    sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    size=7_840_016,
    dataset="MNIST",
)
TEST_LABELS = SourceFile(
    path="MNIST/raw/t10k-labels-idx1-ubyte",
    urls=(),
    sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    size=10_008,
    dataset="MNIST",
)
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


def grey_levels(file: SourceFile) -> NDArray[np.uint8]:
    """Grey levels `(N, 784)`, 0 is background, rows from top to bottom.

    Raises:
        DataError: if the file is damaged.
        NetworkError: if it is nowhere and cannot be downloaded.
    """
    return np.fromfile(fetch(file), np.uint8, offset=_IMAGE_HEADER).reshape(-1, NUM_PIXELS)


def binarised(grey: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """One fixed draw of the bits, `(N, D)` uint8, for grey levels `(N, D)`.

    A pixel is 1 with probability grey level / 255: where `grey / 255 > u`, so 0 stays 0 and 255
    becomes 1. The uniforms `u` are drawn row by row.
    """
    return (grey / 255 > uniforms(grey.size, seed).reshape(grey.shape)).astype(np.uint8)


def digits(file: SourceFile) -> NDArray[np.uint8]:
    """Digits `(N,)`, 0 to 9.

    Raises:
        DataError: if the file is damaged.
        NetworkError: if it is nowhere and cannot be downloaded.
    """
    return np.fromfile(fetch(file), np.uint8, offset=_LABEL_HEADER)


def grey_levels_of(split: SplitName) -> NDArray[np.uint8]:
    """Grey levels `(N, 784)` of a split; train and validation share a raw file."""
    rows = _ROWS[split]
    start = rows.start or 0
    count = -1 if rows.stop is None else (rows.stop - start) * NUM_PIXELS
    file = fetch(TEST_IMAGES if split == "test" else TRAIN_IMAGES)
    offset = _IMAGE_HEADER + start * NUM_PIXELS
    return np.fromfile(file, np.uint8, count, offset=offset).reshape(-1, NUM_PIXELS)


def labels_of(split: SplitName) -> Labels:
    """The digits of the same rows."""
    return labelled(digits(TEST_LABELS if split == "test" else TRAIN_LABELS)[_ROWS[split]])


def labelled(digits: NDArray[np.uint8]) -> Labels:
    """Digits `(N,)` with their names."""
    return Labels(torch.from_numpy(digits.astype(np.int64)), DIGITS)
