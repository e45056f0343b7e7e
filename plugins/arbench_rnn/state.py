"""What a recurrent network keeps while it draws one batch: its layers, updated in place.

All memory is allocated once. Weights are laid out for the fastest products of matrices, and gates
lie side by side, so that one operation serves several. Nothing here has gradients.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from arbench.networks.site_vectors import SiteLookup


class LayerWeights(NamedTuple):
    """Torch's weights of one layer; G is H times the number of its gates.

    Attributes:
        weight_ih: `(G, I)`, for its inputs.
        weight_hh: `(G, H)`, for its own units one site before.
        bias_ih: `(G,)`.
        bias_hh: `(G,)`.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor


class Cell(ABC):
    """One layer of a batch.

    Args:
        weights: weights of the layer.
        initial: `(S, H)`, first states.
        batch_size: B.

    Attributes:
        weight_in: `(I, G)`, maps the layer's inputs to the gates.
        bias_in: `(G,)`, added to that.
        inputs: `(B, G)`; the caller writes the sum there, and `advance` overwrites it.
        hidden: `(B, H)`, the layer's units.
    """

    def __init__(self, weights: LayerWeights, initial: Tensor, batch_size: int) -> None:
        self.weight_in = weights.weight_ih.T.contiguous()
        self.weight = weights.weight_hh.T.contiguous()
        self.bias_in = weights.bias_ih + weights.bias_hh
        self.inputs = self.weight.new_empty(batch_size, self.weight.shape[1])
        self.hidden = initial[0].repeat(batch_size, 1)

    def take_up(self, hidden: Tensor) -> None:
        """Go on from units `(B, H)`, and whatever else the layer remembers."""
        self.hidden.copy_(hidden)

    @abstractmethod
    def advance(self) -> None:
        """Compute the units of a site from its inputs and the units of the site before."""


class TanhCell(Cell):
    """`h <- tanh(W h + inputs)`."""

    def advance(self) -> None:
        """See `Cell.advance`."""
        self.inputs.addmm_(self.hidden, self.weight)
        torch.tanh(self.inputs, out=self.hidden)


class LSTMCell(Cell):
    """`c <- f c + i g; h <- o tanh(c)`, where i, f, o are sigmoids and g is a tanh."""

    def __init__(self, weights: LayerWeights, initial: Tensor, batch_size: int) -> None:
        # Torch orders the gates i, f, g, o. With the three sigmoids first, one call does them all.
        size = weights.weight_hh.shape[1]
        order = torch.arange(4 * size, device=weights.weight_hh.device).view(4, size)
        order = order[[0, 1, 3, 2]].flatten()
        super().__init__(LayerWeights(*(weight[order] for weight in weights)), initial, batch_size)
        self.cell = initial[1].repeat(batch_size, 1)
        self.sigmoids = self.inputs[:, : 3 * size]
        self.write, self.keep, self.read, self.new = self.inputs.chunk(4, 1)

    def take_up(self, hidden: Tensor, cell: Tensor) -> None:  # type: ignore[override]
        """See `Cell.take_up`; cells `(B, H)` too."""
        self.hidden.copy_(hidden)
        self.cell.copy_(cell)

    def advance(self) -> None:
        """See `Cell.advance`."""
        self.inputs.addmm_(self.hidden, self.weight)
        self.sigmoids.sigmoid_()
        self.new.tanh_()
        self.cell.mul_(self.keep).addcmul_(self.write, self.new)
        torch.tanh(self.cell, out=self.hidden)
        self.hidden.mul_(self.read)


class GRUCell(Cell):
    """`h <- (1 - z) n + z h`, where r, z are sigmoids and `n = tanh(inputs + r (U h + b))`."""

    def __init__(self, weights: LayerWeights, initial: Tensor, batch_size: int) -> None:
        super().__init__(weights, initial, batch_size)
        # The reset gate multiplies only the part from the units, so the two parts stay separate.
        self.bias_in = weights.bias_ih
        self.bias = weights.bias_hh
        self.own = torch.empty_like(self.inputs)
        size = weights.weight_hh.shape[1]
        self.sigmoids, self.new = self.inputs[:, : 2 * size], self.inputs[:, 2 * size :]
        self.own_sigmoids, self.own_new = self.own[:, : 2 * size], self.own[:, 2 * size :]
        self.reset, self.keep = self.sigmoids.chunk(2, 1)

    def advance(self) -> None:
        """See `Cell.advance`."""
        torch.addmm(self.bias, self.hidden, self.weight, out=self.own)
        self.sigmoids.add_(self.own_sigmoids).sigmoid_()
        self.new.addcmul_(self.reset, self.own_new).tanh_()
        torch.lerp(self.new, self.hidden, self.keep, out=self.hidden)


class RecurrentState(NamedTuple):
    """What `RecurrentNetwork.step` keeps for one batch.

    Attributes:
        lookup: looks up the first layer's inputs by the value of the site before.
        cells: the layers from first to last.
        pairs: neighbouring layers.
        readout: `(H, P)`.
        readout_bias: `(P,)`.
    """

    lookup: SiteLookup
    cells: list[Cell]
    pairs: list[tuple[Cell, Cell]]
    readout: Tensor
    readout_bias: Tensor
