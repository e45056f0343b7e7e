"""minGRU: a recurrence that is linear in its state, so that a parallel scan can train it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.dropout import unit_dropout
from arbench.networks.residual import Branch, ResidualNetwork
from arbench_rnn.mingru.scan import scan


class MinGRU(ResidualNetwork):
    """Residual blocks of minGRUs and perceptrons over the sites, in any order.

    `h_t = (1 - z_t) h_{t-1} + z_t n_t`, where the gate `z_t = sigmoid(W x_t)` and the candidate
    `n_t = V x_t` depend on the layer's input alone. A branch of norm, minGRU and linear map adds to
    the stream of width H, then a branch with a perceptron does, and so on.

    Source: Feng et al., "Were RNNs all we needed?", 2024. Deviations: the scan works in blocks and
    with plain numbers, so it needs no positive states; theirs uses logarithms. n is linear, as in
    their simplest form. First states are learned. The blocks are those of a pre-norm transformer.

    Linear maps start with Glorot and Bengio's uniform initialisation; those that add to the stream
    are divided by the root of their number. Biases start at 0, those of the gates so that units
    keep their value for 2 to 64 sites. First states start at 0.

    Args:
        layout: any order.
        num_params: P.
        width: H, width of the stream.
        hidden: units of each minGRU.
        num_blocks: number of blocks, of a minGRU and a perceptron each.
        perceptron: hidden units of each perceptron; 0 for none.
        dropout: probability that a training step drops a unit of the input, or of the output of a
            branch.
        ordinal: add a multiple of a discrete value to its vector, so that neighbouring values
            start with similar vectors.
        coordinates: add vectors for the row, column and channel of the site to predict.

    Raises:
        ValueError: for sizes below 1 (the perceptrons' below 0) or a dropout outside [0, 1).
    """

    tiny_hyperparameters: ClassVar = {"width": 8, "hidden": 12, "num_blocks": 2, "perceptron": 8}

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        width: int = 128,
        hidden: int = 256,
        num_blocks: int = 3,
        perceptron: int = 256,
        dropout: float = 0.0,
        ordinal: bool = False,
        coordinates: bool = False,
    ) -> None:
        if min(width, hidden, num_blocks) < 1 or perceptron < 0:
            raise ValueError(
                "width, hidden and num_blocks must be at least 1 and perceptron at least 0, got "
                f"{width}, {hidden}, {num_blocks} and {perceptron}"
            )
        super().__init__(layout, width, dropout=dropout, ordinal=ordinal, coordinates=coordinates)
        num_parts = num_blocks * (2 if perceptron else 1)
        scale = num_parts**-0.5
        parts: list[Part] = []
        for _ in range(num_blocks):
            parts.append(GatedUnits(width, hidden, scale, dropout))
            if perceptron:
                parts.append(Perceptron(width, perceptron, scale, dropout))
        self.parts = cast(Sequence[Part], nn.ModuleList(parts))
        self.add_readout(num_params)

    @property
    def branches(self) -> Sequence[Part]:
        """See `ResidualNetwork.branches`."""
        return self.parts


class Part(Branch):
    """A branch: a norm, a linear map, a function of the subclass, and a linear map back.

    Args:
        width: H, width of the stream.
        num_inner: outputs of the first linear map.
        num_units: inputs of the last one.
        scale: factor on the initial weights of the last one.
        dropout: probability that a training step drops a unit of the output.
    """

    def __init__(
        self, width: int, num_inner: int, num_units: int, scale: float, dropout: float
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, num_inner)
        self.mix = nn.Linear(num_units, width, bias=False)
        self.dropout = dropout
        for weight in torch.split(self.inner.weight, num_units):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.inner.bias)
        nn.init.xavier_uniform_(self.mix.weight, gain=scale)

    def added(self, units: Tensor) -> Tensor:
        """The output `(..., H)` of the branch, from units `(..., num_units)`."""
        return unit_dropout(self.mix(units), self.dropout, self.training)


class Perceptron(Part):
    """One hidden layer of GELUs.

    Args:
        width: H.
        num_units: of the hidden layer.
        scale: see `Part`.
        dropout: likewise.
    """

    def __init__(self, width: int, num_units: int, scale: float, dropout: float) -> None:
        super().__init__(width, num_units, num_units, scale, dropout)

    def forward(self, stream: Tensor) -> Tensor:
        """`(..., H)` to `(..., H)`."""
        return self.added(F.gelu(self.inner(self.norm(stream))))

    def advance(self, stream: Tensor, state: None) -> Tensor:
        """See `Branch.advance`."""
        return self(stream)  # type: ignore[no-any-return]


class GatedUnits(Part):
    """A minGRU.

    Args:
        width: H.
        num_units: of the recurrence.
        scale: see `Part`.
        dropout: likewise.
    """

    def __init__(self, width: int, num_units: int, scale: float, dropout: float) -> None:
        super().__init__(width, 2 * num_units, num_units, scale, dropout)
        self.initial = nn.Parameter(torch.zeros(num_units))
        sites = torch.logspace(1, 6, num_units, base=2)
        with torch.no_grad():  # a gate of 1 / n keeps a unit for about n sites
            self.inner.bias[:num_units] = torch.logit(1 / sites)

    def forward(self, stream: Tensor) -> Tensor:
        """`(B, T, H)` to `(B, T, H)`."""
        gates, new = self.inner(self.norm(stream)).chunk(2, -1)
        if gates.dtype in (torch.bfloat16, torch.float16):  # sums over many sites need more digits
            gates, new = gates.float(), new.float()
        first = self.initial.to(new.dtype).expand(len(stream), -1)
        return self.added(scan((-gates).sigmoid(), gates.sigmoid() * new, first))

    def first_state(self, batch_size: int) -> Tensor:
        """The units before the first site, `(B, units)`."""
        return self.initial.repeat(batch_size, 1)

    def advance(self, stream: Tensor, state: Tensor) -> Tensor:
        """See `Branch.advance`."""
        gates, new = self.inner(self.norm(stream)).chunk(2, -1)
        return self.added(state.lerp_(new, gates.sigmoid_()))
