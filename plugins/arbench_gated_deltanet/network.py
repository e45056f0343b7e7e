"""Gated DeltaNet: blocks of a gated delta rule and a perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.dropout import unit_dropout
from arbench.networks.residual import Branch, ResidualNetwork
from arbench.networks.short_convolution import ShortConvolution
from arbench_gated_deltanet.delta_rule import delta_rule
from arbench_gated_deltanet.state import DeltaMemory

_EPSILON = 1e-6  # in all norms
_WINDOW = 4  # sites that a short convolution sees
_LARGEST_RATE = 16.0
_SHORTEST, _LONGEST = 1e-3, 1e-1


class GatedDeltaNet(ResidualNetwork):
    """Blocks of a gated delta rule and a gated perceptron over the sites, in any order.

    Each head keeps a matrix S that maps keys to values. A site multiplies it by a factor in (0, 1),
    replaces a part of what it says of the site's key, and reads it with a query; see `delta_rule`.

    Source: Yang, Kautz and Hatamizadeh, "Gated delta networks: improving Mamba2 with delta rule",
    ICLR 2025, section 3.4 and figure 1. Deviations: one learning rate and one weight decay for all
    weights; short convolutions have biases; the norm at the end subtracts the mean; linear maps
    start with Glorot and Bengio's uniform initialisation, those that add to the stream divided by
    the root of their number.

    Args:
        layout: any order.
        num_params: P.
        width: H, width of the stream.
        num_blocks: number of blocks, of a delta rule and a perceptron each.
        num_heads: memories of each block.
        key_width: K, entries of a key and rows of a memory.
        value_width: V, entries of a value and columns of a memory.
        perceptron: hidden units of each perceptron; 0 for none.
        dropout: probability that a training step drops a unit of the input, or of the output of a
            branch.
        ordinal: add a multiple of a discrete value to its vector, so that neighbouring values
            start with similar vectors.
        coordinates: add vectors for the row, column and channel of the site to predict.

    Raises:
        ValueError: for sizes below 1 (the perceptrons' below 0) or a dropout outside [0, 1).
    """

    tiny_hyperparameters: ClassVar = {
        "width": 8,
        "num_blocks": 1,
        "num_heads": 2,
        "key_width": 4,
        "value_width": 6,
        "perceptron": 8,
    }

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        width: int = 128,
        num_blocks: int = 4,
        num_heads: int = 4,
        key_width: int = 24,
        value_width: int = 48,
        perceptron: int = 256,
        dropout: float = 0.0,
        ordinal: bool = False,
        coordinates: bool = False,
    ) -> None:
        sizes = (width, num_blocks, num_heads, key_width, value_width)
        if min(sizes) < 1 or perceptron < 0:
            raise ValueError(
                "width, num_blocks, num_heads, key_width and value_width must be at least 1 and "
                f"perceptron at least 0, got {', '.join(map(str, sizes))} and {perceptron}"
            )
        super().__init__(layout, width, dropout=dropout, ordinal=ordinal, coordinates=coordinates)
        scale = (num_blocks * (2 if perceptron else 1)) ** -0.5
        parts: list[Branch] = []
        for _ in range(num_blocks):
            parts.append(DeltaHeads(width, num_heads, key_width, value_width, scale, dropout))
            if perceptron:
                parts.append(Perceptron(width, perceptron, scale, dropout))
        self.parts = cast(Sequence[Branch], nn.ModuleList(parts))
        self.add_readout(num_params)

    @property
    def branches(self) -> Sequence[Branch]:
        """See `ResidualNetwork.branches`."""
        return self.parts


class DeltaHeads(Branch):
    """The gated delta rule of some heads, read through a gated norm.

    Queries, keys and values are linear in the stream, then convolved over four sites, then through
    a SiLU; queries and keys have length 1, and queries are divided by the root of K. A head's
    factor is `exp(-r softplus(w x + c))` with rate r, its strength `sigmoid(v x)`. Rates start
    uniform in (0, 16), and c so that `softplus(c)` is log-uniform in [0.001, 0.1].

    Args:
        width: H.
        num_heads: n.
        key_width: K.
        value_width: V.
        scale: factor on the initial weights of the last map.
        dropout: see `GatedDeltaNet`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        key_width: int,
        value_width: int,
        scale: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.widths = [key_width, key_width, value_width]
        self.norm = nn.RMSNorm(width, eps=_EPSILON)
        channels = num_heads * sum(self.widths)
        self.inner = nn.Linear(width, channels, bias=False)
        self.convolution = ShortConvolution(channels, _WINDOW)
        self.gates = nn.Linear(width, num_heads * value_width, bias=False)
        self.rates = nn.Linear(width, 2 * num_heads, bias=False)
        self.log_rate = nn.Parameter((_LARGEST_RATE * (1 - torch.rand(num_heads))).log())
        log_step = math.log(_SHORTEST) + math.log(_LONGEST / _SHORTEST) * torch.rand(num_heads)
        # softplus(c) = s is c = s + log(1 - exp(-s))
        self.step_bias = nn.Parameter(log_step.exp() + (-(-log_step.exp()).expm1()).log())
        self.value_norm = nn.RMSNorm(value_width, eps=_EPSILON)
        self.mix = nn.Linear(num_heads * value_width, width, bias=False)
        for weight in (self.inner.weight, self.gates.weight, self.rates.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.xavier_uniform_(self.mix.weight, gain=scale)

    def forward(self, stream: Tensor) -> Tensor:
        """`(B, T, H)` to `(B, T, H)`."""
        inputs = self.norm(stream)
        heads = self._heads(self.convolution(self.inner(inputs)))
        queries, keys, values = (x.transpose(1, 2) for x in heads)
        strengths, log_factors = (x.transpose(1, 2) for x in self._rates(inputs))
        first = keys.new_zeros(len(stream), self.num_heads, keys.shape[-1], values.shape[-1])
        with torch.autocast(stream.device.type, enabled=False):
            outputs, _ = delta_rule(queries, keys, values, strengths, log_factors, first)
        return self._added(outputs.transpose(1, 2), inputs)

    def first_state(self, batch_size: int) -> DeltaMemory:
        """Empty memories."""
        key_width, _, value_width = self.widths
        return DeltaMemory(self.convolution, batch_size, self.num_heads, key_width, value_width)

    def advance(self, stream: Tensor, state: DeltaMemory) -> Tensor:
        """See `Branch.advance`."""
        inputs = self.norm(stream)
        queries, keys, values = self._heads(state.recent(self.inner(inputs)))
        strengths, log_factors = self._rates(inputs)
        outputs = state(queries, keys, values, strengths, log_factors.exp())
        return self._added(outputs, inputs)

    def _heads(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `(..., heads, K or V)` of `(..., channels)`."""
        by_head = F.silu(mixed).view(*mixed.shape[:-1], self.num_heads, -1)
        queries, keys, values = torch.split(by_head, self.widths, -1)
        return _of_length_one(queries) * self.widths[0] ** -0.5, _of_length_one(keys), values

    def _rates(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Strengths and logarithms of factors, `(..., heads)`."""
        strengths, steps = self.rates(inputs).chunk(2, -1)
        return strengths.sigmoid(), -self.log_rate.exp() * F.softplus(steps + self.step_bias)

    def _added(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """The output `(..., H)` of the branch, from what was read, `(..., heads, V)`."""
        read = self.value_norm(outputs).flatten(-2) * F.silu(self.gates(inputs))
        return unit_dropout(self.mix(read), self.dropout, self.training)


class Perceptron(Branch):
    """`W (silu(U norm(x)) * V norm(x))`.

    Args:
        width: H.
        num_units: of the hidden layer.
        scale: factor on the initial W.
        dropout: see `GatedDeltaNet`.
    """

    def __init__(self, width: int, num_units: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=_EPSILON)
        self.inner = nn.Linear(width, 2 * num_units, bias=False)
        self.mix = nn.Linear(num_units, width, bias=False)
        self.dropout = dropout
        for weight in torch.split(self.inner.weight, num_units):
            nn.init.xavier_uniform_(weight)
        nn.init.xavier_uniform_(self.mix.weight, gain=scale)

    def forward(self, stream: Tensor) -> Tensor:
        """`(..., H)` to `(..., H)`."""
        gates, units = self.inner(self.norm(stream)).chunk(2, -1)
        return unit_dropout(self.mix(F.silu(gates) * units), self.dropout, self.training)

    def advance(self, stream: Tensor, state: None) -> Tensor:
        """See `Branch.advance`."""
        return self(stream)  # type: ignore[no-any-return]


def _of_length_one(vectors: Tensor) -> Tensor:
    """Vectors `(..., K)` divided by their length; those that are nearly 0 stay shorter."""
    return vectors * (vectors.square().sum(-1, keepdim=True) + _EPSILON).rsqrt()
