"""MNIST with its grey levels."""

from __future__ import annotations

import torch

from arbench import Discrete, EventSpec, Labels, Split, SplitName, Task
from arbench_mnist.raw import FILES, SIDE, grey_levels_of, labels_of


class GrayMNIST(Task):
    """Digits `(1, 28, 28)` with 256 grey levels, 0 is background; the splits of `mnist`.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
        recognition", 1998.
    """

    name = "mnist-gray"
    version = "1"
    spec = EventSpec((1, SIDE, SIDE), Discrete(256))
    unit = "pixel"
    hub_datasets = ("ylecun/mnist",)
    source = "MNIST (LeCun et al. 1998), http://yann.lecun.com/exdb/mnist/"
    files = FILES

    def load(self, split: SplitName) -> Split:
        """The events `(N, 1, 28, 28)` of a split, uint8.

        Raises:
            DataError: if a raw file is damaged.
            NetworkError: if it is nowhere and cannot be downloaded.
        """
        return Split(torch.from_numpy(grey_levels_of(split)).reshape(-1, *self.spec.shape))

    def load_labels(self, split: SplitName) -> Labels:
        """The digits; raises what `load` does."""
        return labels_of(split)
