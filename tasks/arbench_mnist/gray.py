"""MNIST with its grey levels."""

from __future__ import annotations

import torch

from arbench import Discrete, EventSpec, Split, SplitName, Task
from arbench_mnist.raw import NUM_TRAIN, SIDE, TEST_IMAGES, TRAIN_IMAGES, grey_levels


class GrayMNIST(Task):
    """Digits `(1, 28, 28)` with 256 grey levels, 0 is background; the splits of `mnist`.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
        recognition", 1998.
    """

    name = "mnist-gray"
    version = "1"
    spec = EventSpec((1, SIDE, SIDE), Discrete(256))
    unit = "pixel"
    source = "MNIST (LeCun et al. 1998), http://yann.lecun.com/exdb/mnist/"
    files = (TRAIN_IMAGES, TEST_IMAGES)

    def load(self, split: SplitName) -> Split:
        """The events `(N, 1, 28, 28)` of a split, uint8.

        Raises:
            DataError: if a raw file is damaged.
            NetworkError: if it is nowhere and cannot be downloaded.
        """
        levels = grey_levels(TEST_IMAGES if split == "test" else TRAIN_IMAGES)
        rows = {
            "train": slice(NUM_TRAIN),
            "validation": slice(NUM_TRAIN, None),
            "test": slice(None),
        }
        return Split(torch.from_numpy(levels[rows[split]]).reshape(-1, *self.spec.shape))
