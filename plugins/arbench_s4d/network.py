"""S4D: gated residual blocks around diagonal state spaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.dropout import unit_dropout
from arbench.networks.residual import Branch, ResidualNetwork
from arbench_s4d.state import Recurrence
from arbench_s4d.state_space import DiagonalStateSpace


class S4D(ResidualNetwork):
    """Blocks `x + GLU(W gelu(SSM(norm(x))))` over the sites, in any order.

    Source: Gu, Gupta, Goel and Ré, "On the parameterization and initialization of diagonal state
    space models", NeurIPS 2022; the block is that of Gu, Goel and Ré, "Efficiently modeling long
    sequences with structured state spaces", ICLR 2022, with the norm before it. See
    `DiagonalStateSpace`. Deviations: one learning rate for all weights, where the authors use a
    smaller one for A and the step sizes; the input is the value of the site before, or a learned
    vector at the first site.

    W starts with Glorot and Bengio's uniform initialisation, divided by the root of the number of
    blocks.

    Args:
        layout: any order.
        num_params: P.
        width: H, width of the stream, and number of state spaces in each block.
        num_blocks: number of blocks.
        num_states: N, states per state space; conjugate pairs count as two.
        init: how A starts: "lin" has equally spaced frequencies, "inv" has ever smaller ones.
        shortest: smallest initial step size; the memory reaches back about 2 / step sites.
        longest: largest initial step size.
        dropout: probability that a training step drops a unit before W, or of the input.
        ordinal: add a multiple of a discrete value to its vector, so that neighbouring values
            start with similar vectors.
        coordinates: add vectors for the row, column and channel of the site to predict.

    Raises:
        ValueError: for sizes below 1, an odd number of states, an unknown `init`, step sizes that
            are not 0 < shortest <= longest, or a dropout outside [0, 1).
    """

    tiny_hyperparameters: ClassVar = {"width": 8, "num_blocks": 2, "num_states": 8}
    reordered_sums = True  # by the FFT

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        width: int = 128,
        num_blocks: int = 4,
        num_states: int = 32,
        init: Literal["lin", "inv"] = "lin",
        shortest: float = 1e-3,
        longest: float = 1e-1,
        dropout: float = 0.0,
        ordinal: bool = False,
        coordinates: bool = False,
    ) -> None:
        if min(width, num_blocks) < 1:
            raise ValueError(
                f"width and num_blocks must be at least 1, got {width} and {num_blocks}"
            )
        if num_states < 2 or num_states % 2:
            raise ValueError(
                f"num_states must be even, for conjugate pairs, and at least 2, got {num_states}"
            )
        if init not in ("lin", "inv"):
            raise ValueError(f"init must be 'lin' or 'inv', got {init!r}")
        if not 0 < shortest <= longest:
            raise ValueError(
                f"expected 0 < shortest <= longest, got shortest {shortest} and longest {longest}"
            )
        super().__init__(layout, width, dropout=dropout, ordinal=ordinal, coordinates=coordinates)
        blocks: list[Block] = []
        for _ in range(num_blocks):
            space = DiagonalStateSpace(
                width, num_states, init=init, shortest=shortest, longest=longest
            )
            blocks.append(Block(width, space, num_blocks**-0.5, dropout))
        self.blocks = cast(Sequence[Block], nn.ModuleList(blocks))
        self.add_readout(num_params)

    @property
    def branches(self) -> Sequence[Block]:
        """See `ResidualNetwork.branches`."""
        return self.blocks


class Block(Branch):
    """`GLU(W gelu(SSM(norm(x))))`.

    Args:
        width: H.
        space: the state spaces of H channels.
        scale: factor on the initial W.
        dropout: see `S4D`.
    """

    def __init__(self, width: int, space: DiagonalStateSpace, scale: float, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.space = space
        self.mix = nn.Linear(width, 2 * width)
        self.dropout = dropout
        nn.init.xavier_uniform_(self.mix.weight, gain=scale)
        nn.init.zeros_(self.mix.bias)

    def forward(self, stream: Tensor) -> Tensor:
        """`(B, T, H)` to `(B, T, H)`."""
        return self._mixed(self.space(self.norm(stream)))

    def first_state(self, batch_size: int) -> Recurrence:
        """The state space before the first site."""
        return Recurrence(self.space, batch_size)

    def advance(self, stream: Tensor, state: Recurrence) -> Tensor:
        """See `Branch.advance`."""
        return self._mixed(state(self.norm(stream)))

    def _mixed(self, values: Tensor) -> Tensor:
        """The part of the block after the state space, `(..., H)` to `(..., H)`."""
        values = unit_dropout(F.gelu(values), self.dropout, self.training)
        return F.glu(self.mix(values), -1)
