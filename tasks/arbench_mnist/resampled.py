"""MNIST with train pixels resampled every epoch, validation and test bits drawn once."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench import Discrete, EventSpec, Labels, Split, SplitName, Task
from arbench_mnist.raw import FILES, SIDE, binarised, grey_levels_of, labels_of

SEEDS: dict[SplitName, int] = {"validation": 1, "test": 2}


class MNIST(Task):
    """Digits `(1, 28, 28)`; each pixel is 1 with probability grey level / 255.

    Train is the first 50,000 training digits as grey levels, binarised anew every epoch; validation
    is the last 10,000 and test the 10,000 test digits, binarised once with a seed each, so that the
    result is deterministic.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
        recognition", 1998; pixels as probabilities after Salakhutdinov and Murray, "On the
        quantitative analysis of deep belief networks", ICML 2008.
    """

    name = "mnist"
    version = "1"
    spec = EventSpec((1, SIDE, SIDE), Discrete(2))
    unit = "pixel"
    draws_pixels = True
    hub_datasets = ("ylecun/mnist",)
    source = "MNIST (LeCun et al. 1998), http://yann.lecun.com/exdb/mnist/"
    files = FILES

    def load(self, split: SplitName) -> Split:
        """The grey levels `(50000, 1, 28, 28)` of train; the events of validation and test; uint8.

        Raises:
            DataError: if a raw file is damaged.
            NetworkError: if it is nowhere and cannot be downloaded.
        """
        pixels = grey_levels_of(split)
        if split in SEEDS:
            pixels = binarised(pixels, SEEDS[split])
        return Split(torch.from_numpy(pixels).reshape(-1, *self.spec.shape))

    def load_labels(self, split: SplitName) -> Labels:
        """The digits; raises what `load` does."""
        return labels_of(split)

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        """Fresh bits `(N, 1, 28, 28)`, uint8, for grey levels of that shape."""
        uniforms = torch.rand(events.shape, generator=generator, device=generator.device)
        return (uniforms.to(events.device) < events / 255).to(torch.uint8)
