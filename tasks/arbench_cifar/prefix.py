"""The first images of each batch of CIFAR-10: a small set of photographs, and not CIFAR-10."""

from __future__ import annotations

import numpy as np
import torch

from arbench import (
    DataError,
    Discrete,
    EventSpec,
    SourceFile,
    Split,
    SplitName,
    Task,
    fetch,
    read_npz,
)

NUM_TRAIN = 4_576  # of the 5,085 training images, nine to one as in `cifar10`
PREFIX = SourceFile(
    path="cifar10_prefix.npz",
    urls=(),  # nobody serves it
    sha256="99137f1ca0a7254f28236e2322cc4e583a724318c893ed0ae4c2795ad8825c75",
    size=17_279_887,
)


class Cifar10Prefix(Task):
    """Photographs `(3, 32, 32)`: the first 1,017 of each of the six batches of CIFAR-10.

    Train is the first 4,576 of the 5,085 training images in the order of the five batches,
    validation the last 509, test the 1,017 images of the test batch. It is not CIFAR-10: training
    sees a tenth of that, the test images are a tenth of its test images.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """

    name = "cifar10-6k"
    version = "1"
    spec = EventSpec((3, 32, 32), Discrete(256))
    unit = "dim"
    source = (
        "the first images of each batch of CIFAR-10 (Krizhevsky 2009), "
        "https://www.cs.toronto.edu/~kriz/cifar.html"
    )
    files = (PREFIX,)

    def load(self, split: SplitName) -> Split:
        """The events `(N, 3, 32, 32)` of a split, uint8.

        Raises:
            DataError: if the file is damaged, or another one.
            NetworkError: if it is not on this machine.
        """
        batches = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
        keys = [f"{batch}_x" for batch in batches]
        path = fetch(self.files[0])
        arrays = read_npz(path, keys)
        try:
            images = torch.from_numpy(np.concatenate([arrays[key] for key in keys]))
            self.spec.validate(images)
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: {', '.join(keys)}: {error}") from error
        if split == "test":
            return Split(images)
        return Split(images[:NUM_TRAIN] if split == "train" else images[NUM_TRAIN:])
