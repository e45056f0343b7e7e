"""The four raw files of MNIST: grey levels and labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arbench import SourceFile, fetch

SIDE = 28
NUM_PIXELS = SIDE * SIDE
NUM_TRAIN = 50_000  # of the 60,000 training digits; the last 10,000 are validation
_IMAGE_HEADER = 16  # bytes: magic number, count, height, width
_LABEL_HEADER = 8  # bytes: magic number, count


def _raw(name: str, sha256: str, size: int) -> SourceFile:
    return SourceFile(path=f"MNIST/raw/{name}", urls=(), sha256=sha256, size=size, dataset="MNIST")


TRAIN_IMAGES = _raw(
    "train-images-idx3-ubyte",
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    47_040_016,
)
TRAIN_LABELS = _raw(
    "train-labels-idx1-ubyte",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    60_008,
)
TEST_IMAGES = _raw(
    "t10k-images-idx3-ubyte",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    7_840_016,
)
TEST_LABELS = _raw(
    "t10k-labels-idx1-ubyte",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    10_008,
)


def grey_levels(file: SourceFile) -> NDArray[np.uint8]:
    """Grey levels `(N, 784)`, 0 is background, rows from top to bottom.

    Raises:
        DataError: if the file is damaged.
        NetworkError: if it is nowhere and cannot be downloaded.
    """
    return np.fromfile(fetch(file), np.uint8, offset=_IMAGE_HEADER).reshape(-1, NUM_PIXELS)


def labels(file: SourceFile) -> NDArray[np.uint8]:
    """Classes `(N,)`, 0 to 9.

    Raises:
        DataError: if the file is damaged.
        NetworkError: if it is nowhere and cannot be downloaded.
    """
    return np.fromfile(fetch(file), np.uint8, offset=_LABEL_HEADER)
