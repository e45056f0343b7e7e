"""CIFAR-10 from the official binary archive."""

from __future__ import annotations

import re

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
    read_members,
)

NUM_TRAIN = 45_000  # of the 50,000 training images; the last 5,000 are validation
ARCHIVE = SourceFile(
    path="cifar-10-binary.tar.gz",
    urls=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
_TRAIN = re.compile(r"cifar-10-batches-bin/(?P<name>data_batch_[1-5]\.bin)")
_TEST = re.compile(r"cifar-10-batches-bin/(?P<name>test_batch\.bin)")
_PER_BATCH = 10_000
_ROW = 1 + 3 * 32 * 32  # bytes: the class, then the red, green and blue planes


class Cifar10(Task):
    """Photographs `(3, 32, 32)` of ten kinds of things, 256 levels of red, green and blue.

    Train is the first 45,000 of the 50,000 training images in the order of the five batches,
    validation the last 5,000, test the 10,000 test images.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """

    name = "cifar10"
    version = "1"
    spec = EventSpec((3, 32, 32), Discrete(256))
    unit = "dim"
    hub_datasets = ("uoft-cs/cifar10",)
    source = "CIFAR-10 (Krizhevsky 2009), https://www.cs.toronto.edu/~kriz/cifar.html"
    files = (ARCHIVE,)

    def load(self, split: SplitName) -> Split:
        """The events `(N, 3, 32, 32)` of a split, uint8.

        The archive holds plain bytes; the better known one for Python holds pickles.

        Raises:
            DataError: if the archive is damaged or not the published one.
            NetworkError: if it is not on this machine and cannot be downloaded.
        """
        archive, wanted = fetch(self.files[0]), _TEST if split == "test" else _TRAIN
        batches = dict(read_members(archive, wanted, max_bytes=_PER_BATCH * _ROW))
        expected = 1 if split == "test" else 5
        sizes = {len(content) for content in batches.values()}
        if len(batches) != expected or len(sizes) != 1 or sizes.pop() % _ROW:
            raise DataError(
                f"{archive}: found {len(batches)} batches for {split}, expected {expected} of "
                f"{_PER_BATCH:,} images with {_ROW:,} bytes each"
            )
        rows = np.frombuffer(b"".join(batches[name] for name in sorted(batches)), np.uint8)
        images = rows.reshape(-1, _ROW)[:, 1:].reshape(-1, 3, 32, 32)
        num_train = len(images) * NUM_TRAIN // (5 * _PER_BATCH)
        if split != "test":
            images = images[:num_train] if split == "train" else images[num_train:]
        return Split(torch.from_numpy(images.copy()))
