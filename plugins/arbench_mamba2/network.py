"""Mamba-2: blocks of selective state spaces."""

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
from arbench_mamba2.state import SelectiveMemory
from arbench_mamba2.state_space import selective_scan

_EPSILON = 1e-6  # in all norms
_WINDOW = 4  # sites that a short convolution sees
_SMALLEST_RATE, _LARGEST_RATE = 1.0, 16.0


class Mamba2(ResidualNetwork):
    """Blocks `x + W norm(y silu(z))` over the sites, in any order; y is of selective state spaces.

    The length of a head's step depends on the site. So a site decides how much of the state stays,
    `exp(-rate step)`, and how much of its input is written; see `selective_scan`.

    Source: Dao and Gu, "Transformers are SSMs: generalized models and efficient algorithms through
    structured state space duality", ICML 2024, section 7.1 and figure 6, with one group for all
    heads. Deviations: steps have no limits, neither in training nor in sampling; one learning rate
    and one weight decay for all weights; the norm at the end subtracts the mean; linear maps start
    with Glorot and Bengio's uniform initialisation, those that add to the stream divided by the
    root of their number.

    Args:
        layout: any order.
        num_params: P.
        width: H, width of the stream.
        num_blocks: number of blocks.
        num_states: N, states of each channel.
        head_width: channels of a head, which share their steps; it divides `expansion * width`.
        expansion: how many times as many channels as the stream has units.
        shortest: smallest initial step; the memory reaches back about 1 / (rate * step) sites.
        longest: largest initial step.
        dropout: probability that a training step drops a unit of the input, or of the output of a
            block.
        ordinal: add a multiple of a discrete value to its vector, so that neighbouring values
            start with similar vectors.
        coordinates: add vectors for the row, column and channel of the site to predict.

    Raises:
        ValueError: for sizes below 1, heads that do not fit, steps that are not 0 < shortest <=
            longest, or a dropout outside [0, 1).
    """

    tiny_hyperparameters: ClassVar = {
        "width": 8,
        "num_blocks": 1,
        "num_states": 6,
        "head_width": 4,
    }

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        width: int = 128,
        num_blocks: int = 4,
        num_states: int = 64,
        head_width: int = 32,
        expansion: int = 2,
        shortest: float = 1e-3,
        longest: float = 1e-1,
        dropout: float = 0.0,
        ordinal: bool = False,
        coordinates: bool = False,
    ) -> None:
        sizes = (width, num_blocks, num_states, head_width, expansion)
        if min(sizes) < 1:
            raise ValueError(
                "width, num_blocks, num_states, head_width and expansion must be at least 1, got "
                f"{', '.join(map(str, sizes))}"
            )
        channels = expansion * width
        if channels % head_width:
            raise ValueError(
                f"head_width must divide the {channels} channels (expansion * width), got "
                f"{head_width}"
            )
        if not 0 < shortest <= longest:
            raise ValueError(
                f"expected 0 < shortest <= longest, got shortest {shortest} and longest {longest}"
            )
        super().__init__(layout, width, dropout=dropout, ordinal=ordinal, coordinates=coordinates)
        scale = num_blocks**-0.5
        blocks: list[Block] = []
        for _ in range(num_blocks):
            num_heads = channels // head_width
            log_step = math.log(shortest) + math.log(longest / shortest) * torch.rand(num_heads)
            blocks.append(Block(width, head_width, num_states, log_step.exp(), scale, dropout))
        self.blocks = cast(Sequence[Block], nn.ModuleList(blocks))
        self.add_readout(num_params)

    @property
    def branches(self) -> Sequence[Block]:
        """See `ResidualNetwork.branches`."""
        return self.blocks


class Block(Branch):
    """`W norm(y silu(z))`, where y is what the state spaces of some heads make of the stream.

    Gates z, inputs x, reads c and writes b are linear in the stream; x, b and c are convolved over
    four sites and go through a SiLU. A head's step is `s = softplus(w u + e)`, its factor
    `exp(-r s)`, its output that of `selective_scan` for inputs `s x`, plus a multiple of x. Rates
    r start uniform in [1, 16], the multiples at 1, and e so that `softplus(e)` is the given step.

    Args:
        width: H.
        head_width: P.
        num_states: N.
        steps: initial steps of the heads, `(heads,)`.
        scale: factor on the initial W.
        dropout: see `Mamba2`.
    """

    def __init__(
        self,
        width: int,
        head_width: int,
        num_states: int,
        steps: Tensor,
        scale: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.num_heads, self.dropout = len(steps), dropout
        channels = self.num_heads * head_width
        self.parts = [channels, num_states, num_states]
        self.norm = nn.RMSNorm(width, eps=_EPSILON)
        self.gates = nn.Linear(width, channels, bias=False)
        self.inner = nn.Linear(width, sum(self.parts), bias=False)
        self.steps = nn.Linear(width, self.num_heads, bias=False)
        self.convolution = ShortConvolution(sum(self.parts), _WINDOW)
        # softplus(e) = s is e = s + log(1 - exp(-s))
        self.step_bias = nn.Parameter(steps + (-(-steps).expm1()).log())
        rates = _SMALLEST_RATE + (_LARGEST_RATE - _SMALLEST_RATE) * torch.rand(self.num_heads)
        self.log_rate = nn.Parameter(rates.log())
        self.skip = nn.Parameter(torch.ones(self.num_heads, 1))
        self.output_norm = nn.RMSNorm(channels, eps=_EPSILON)
        self.mix = nn.Linear(channels, width, bias=False)
        for weight in (
            self.gates.weight,
            *torch.split(self.inner.weight, self.parts),
            self.steps.weight,
        ):
            nn.init.xavier_uniform_(weight)
        nn.init.xavier_uniform_(self.mix.weight, gain=scale)

    def forward(self, stream: Tensor) -> Tensor:
        """`(B, T, H)` to `(B, T, H)`."""
        units = self.norm(stream)
        inputs, writes, reads = self._parts(self.convolution(self.inner(units)))
        steps, log_factors = self._steps(units)
        by_head, log_factors = (inputs * steps).transpose(1, 2), log_factors.transpose(1, 2)
        first = inputs.new_zeros(len(stream), self.num_heads, writes.shape[-1], inputs.shape[-1])
        with torch.autocast(stream.device.type, enabled=False):
            outputs, _ = selective_scan(reads, writes, by_head, log_factors, first)
        return self._added(outputs.transpose(1, 2), inputs, units)

    def first_state(self, batch_size: int) -> SelectiveMemory:
        """Empty states."""
        channels, num_states, _ = self.parts
        heads = (self.num_heads, num_states, channels // self.num_heads)
        return SelectiveMemory(self.convolution, batch_size, *heads)

    def advance(self, stream: Tensor, state: SelectiveMemory) -> Tensor:
        """See `Branch.advance`."""
        units = self.norm(stream)
        inputs, writes, reads = self._parts(state.recent(self.inner(units)))
        steps, log_factors = self._steps(units)
        outputs = state(reads, writes, inputs * steps, log_factors.exp())
        return self._added(outputs, inputs, units)

    def _parts(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs `(..., heads, P)`, writes and reads `(..., N)` of `(..., channels + 2 N)`."""
        inputs, writes, reads = torch.split(F.silu(mixed), self.parts, -1)
        return inputs.view(*inputs.shape[:-1], self.num_heads, -1), writes, reads

    def _steps(self, units: Tensor) -> tuple[Tensor, Tensor]:
        """Steps `(..., heads, 1)` and logarithms of factors `(..., heads)`."""
        steps = F.softplus(self.steps(units) + self.step_bias)
        return steps.unsqueeze(-1), -self.log_rate.exp() * steps

    def _added(self, outputs: Tensor, inputs: Tensor, units: Tensor) -> Tensor:
        """The output `(..., H)` of the block, from what was read, `(..., heads, P)`."""
        read = (outputs + self.skip * inputs).flatten(-2)
        gated = self.output_norm(read * F.silu(self.gates(units)))
        return unit_dropout(self.mix(gated), self.dropout, self.training)
