"""Which unit may see which: one degree per unit; every mask follows from the degrees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from arbench import Layout, random_order, uniforms


class Degrees(nn.Module):
    """The degrees of all units: a unit of degree d depends on the first d sites of the order.

    An input at position s has degree s + 1, an output at position t has degree t, hidden units
    have degrees from 1 to T - 1. One rule then covers every pair of layers, direct connections
    included: a unit may read another one if its own degree is at least the other's. The network
    keeps degrees, a few bytes per unit. It computes masks, as large as the weights, when needed.

    Source: Germain et al., ICML 2015, equations 12 and 13. There, degrees of outputs are larger by
    one and the comparison is strict. Deviation: the degrees of a layer are spread evenly over their
    range (a systematic sample with a random start, shuffled) instead of drawn independently, so
    that a layer of at least T - 1 units misses no degree.

    Args:
        layout: the order; unit i of the input and output layers belongs to canonical site i.
        inputs_per_site: input units per site.
        hidden: widths of the hidden layers.
        outputs_per_site: P.
        mask_seed: decides which hidden unit gets which degree.

    Attributes:
        permutation: `(T,)` int64, canonical site of each position.
        positions: `(T,)` int64, its inverse.
    """

    permutation: Tensor
    positions: Tensor

    def __init__(
        self,
        layout: Layout,
        inputs_per_site: int,
        hidden: Sequence[int],
        outputs_per_site: int,
        mask_seed: int,
    ) -> None:
        super().__init__()
        self.num_sites = layout.num_sites
        self.num_layers = len(hidden) + 2
        self.register_buffer("permutation", layout.permutation.clone(), persistent=False)
        self.register_buffer("positions", layout.permutation.argsort(), persistent=False)
        positions = layout.permutation.argsort().numpy()
        layers = [np.repeat(positions + 1, inputs_per_site)]
        lowest = 1
        for index, width in enumerate(hidden):
            layers.append(_spread(width, lowest, max(self.num_sites - 1, 1), mask_seed, index))
            lowest = int(layers[-1].min())
        layers.append(np.repeat(positions, outputs_per_site))
        narrow = torch.int16 if self.num_sites < 2**15 else torch.int32
        for index, degrees in enumerate(layers):
            self.register_buffer(f"layer_{index}", torch.tensor(degrees, dtype=narrow), False)

    def layer(self, index: int) -> Tensor:
        """Degrees of one layer, `(units,)` integers; 0 is the input, -1 the output."""
        return self.get_buffer(f"layer_{index % self.num_layers}")

    def mask(self, target: int, source: int) -> Tensor:
        """Which connections exist: `(target units, source units)` boolean."""
        return self.layer(target).unsqueeze(1) >= self.layer(source)

    def by_degree(self, index: int) -> tuple[Tensor, list[int]]:
        """A layer's units in order of degree, and where each degree begins.

        Returns:
            `(units,)` int64, and T + 1 counts: entry d is the number of units of degree below d.
        """
        degrees, units = self.layer(index).sort(stable=True)
        edges = torch.arange(self.num_sites + 1, device=degrees.device, dtype=degrees.dtype)
        return units, torch.searchsorted(degrees, edges).tolist()


def _spread(width: int, lowest: int, highest: int, *key: int) -> NDArray[np.int64]:
    """`width` degrees from `lowest` to `highest`, evenly spread, in the random order of the key.

    No degree is below the lowest of the layer before: such a unit would read nothing.
    """
    start = uniforms(1, *key, 0)
    fractions = (np.arange(width) + start) / width
    degrees = lowest + np.floor(fractions * (highest - lowest + 1)).astype(np.int64)
    return np.minimum(degrees, highest)[random_order(width, *key, 1)]
