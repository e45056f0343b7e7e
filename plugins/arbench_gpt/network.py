"""GPT: a stack of transformer blocks, each of which attends to all earlier sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal, Self, get_args

import torch
from torch import Tensor, nn

from arbench import Layout, NativeStep
from arbench.networks.dropout import unit_dropout
from arbench.networks.native import is_eager, native_is_wanted
from arbench.networks.site_vectors import SiteVectors
from arbench_gpt.blocks import MLP, Block, rotary_turns
from arbench_gpt.buffers import SpareBuffers
from arbench_gpt.state import GPTState, advance, make_state, read_prefix


class GPT(nn.Module):
    """A decoder-only transformer over the sites, in any order.

    The input at a site is the value of the site before, or a learned start vector at the first.
    The output at site t sees all sites before t, also across the ends of image rows, and no other.

    Source: Radford et al., "Language models are unsupervised multitask learners", 2019, section
    2.3 (norms first, one more at the end, the initialisation); Chen et al., "Generative pretraining
    from pixels", ICML 2020, for pixels. Deviations: rotary positions, SwiGLU (Shazeer, "GLU
    variants improve transformer", 2020) and networks without biases are options; the output layer
    has weights of its own; dropout drops units, never attention weights.

    Weights start normal with standard deviation 0.02; that of maps which add to the residual
    stream is divided by the root of their number. Biases start at 0.

    Args:
        layout: any.
        num_params: P.
        num_layers: blocks.
        width: H, of the residual stream.
        num_heads: heads per attention; must divide the width.
        positions: "rotary" turns queries and keys, so that attention knows distances; "learned"
            adds a vector to the input of every site.
        coordinates: add vectors for the row, column and channel of the site to predict; with
            learned positions they replace the vector per site.
        ordinal: see `SiteVectors`.
        mlp: "gelu" or "swiglu"; see `Block`.
        bias: whether linear maps and norms have biases.
        dropout: probability that a training step drops a unit of the input, or of the output of a
            branch of a block.

    Raises:
        ValueError: for sizes below 1, heads that do not divide the width, rotary positions with an
            odd number of units per head, a dropout outside [0, 1), ordinal real values, or an
            unknown choice of `positions` or `mlp`.
    """

    tiny_hyperparameters: ClassVar = {"num_layers": 2, "width": 12, "num_heads": 2}

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        num_layers: int = 4,
        width: int = 128,
        num_heads: int = 4,
        positions: Literal["rotary", "learned"] = "rotary",
        coordinates: bool = False,
        ordinal: bool = False,
        mlp: MLP = "gelu",
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(num_layers, width, num_heads) < 1:
            raise ValueError(
                "num_layers, width and num_heads must be at least 1, got "
                f"{num_layers}, {width} and {num_heads}"
            )
        if positions not in ("rotary", "learned"):
            raise ValueError(f"positions must be 'rotary' or 'learned', got {positions!r}")
        if mlp not in get_args(MLP):
            raise ValueError(f"mlp must be 'gelu' or 'swiglu', got {mlp!r}")
        if width % num_heads:
            raise ValueError(f"num_heads must divide the width, got {num_heads} and {width}")
        self.num_heads, self.head_dim = num_heads, width // num_heads
        self.rotary = positions == "rotary"
        if self.rotary and self.head_dim % 2:
            raise ValueError(
                "rotary positions turn pairs of units, so width / num_heads must be even, got "
                f"{width} / {num_heads}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a probability below 1, got {dropout}")
        self.num_sites = layout.num_sites
        self.units_per_site = width
        self.dropout = dropout
        self.inputs = SiteVectors(layout, width, ordinal=ordinal, coordinates=coordinates)
        own_vectors = positions == "learned" and not coordinates
        self.places = nn.Parameter(torch.empty(layout.num_sites, width)) if own_vectors else None
        self.blocks = nn.ModuleList(Block(width, num_heads, mlp, bias) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width, bias=bias)
        self.outputs = nn.Linear(width, num_params, bias=bias)
        # One each for keys and values of every block, and one more, because keys move.
        self._spare = SpareBuffers(2 * num_layers + 1)
        self._initialise()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Every move and cast calls this, and then the kept buffers no longer fit.
        self._spare = SpareBuffers(self._spare.most)
        moved: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return moved

    def _initialise(self) -> None:
        for name, weight in self.named_parameters():
            if "norm" in name:
                continue
            if name.endswith("bias"):
                nn.init.zeros_(weight)
                continue
            adds = name.endswith(("mix.weight", "down.weight"))
            nn.init.normal_(weight, std=0.02 * ((2 * len(self.blocks)) ** -0.5 if adds else 1.0))

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, site_dim)` int64 in [0, K), or floating point for real data.

        Returns:
            `(B, T, P)`; entry t depends on all sites before t and on no other.
        """
        return self.tail_params(sites, 0)

    def tail_params(self, sites: Tensor, first: int) -> Tensor:
        """Those of the sites from `first` on; see `TailNetwork.tail_params`.

        The last block has queries there alone, and so have the layers behind them.
        """
        stream = self._stream(sites, len(self.blocks), first)
        params: Tensor = self.outputs(self.norm(stream))
        return params

    def features(self, sites: Tensor) -> Tensor:
        """The mean over all sites of what enters the block in the middle, normalised, `(B, H)`.

        It reads every value but the last. See `FeatureNetwork`.

        Source: Chen et al., "Generative pretraining from pixels", ICML 2020, section 2.4.
        """
        half = (len(self.blocks) + 1) // 2
        norms = [block.get_submodule("attention_norm") for block in self.blocks]
        stream: Tensor = [*norms, self.norm][half](self._stream(sites, half))
        return stream.mean(1)

    def _stream(self, sites: Tensor, num_blocks: int, first: int = 0) -> Tensor:
        """The residual stream `(B, T - first, H)` after so many blocks.

        Compiled loops make it where no gradient is asked for; they call no hook of a block.
        """
        values = unit_dropout(self._vectors(sites), self.dropout, self.training)
        turns = rotary_turns(self.num_sites, self.head_dim, values) if self.rotary else None
        drops = self.training and self.dropout > 0
        if not (drops or torch.is_grad_enabled()) and is_eager(values) and native_is_wanted():
            from arbench_gpt.native_weights import block_weights
            from arbench_gpt.reading import read_events

            maps = block_weights(self._blocks()[:num_blocks], rotary=self.rotary)
            return read_events(values, turns or (), maps, self.num_heads, first=first)
        for number, block in enumerate(self.blocks[:num_blocks], 1):
            values = block(values, turns, self.dropout, first if number == num_blocks else 0)
        return values

    @torch.no_grad()
    def init_state(self, batch_size: int) -> GPTState:
        """Weights as a step needs them, and empty key-value caches."""
        return make_state(
            self._blocks(),
            self.norm,
            self.outputs,
            inputs=self.inputs,
            places=self.places,
            num_sites=self.num_sites,
            batch_size=batch_size,
            rotary=self.rotary,
            spare=self._spare,
        )

    @torch.no_grad()
    def prefill(self, state: GPTState, sites: Tensor) -> GPTState:
        """The state after the steps of the first sites; see `PrefillingNetwork.prefill`."""
        read_prefix(state, self._vectors(sites))
        return state

    def _vectors(self, sites: Tensor) -> Tensor:
        """What enters the first block at the first sites, `(B, n, H)`."""
        vectors: Tensor = self.inputs(sites)
        return vectors if self.places is None else vectors + self.places[: sites.shape[1]]

    @torch.no_grad()
    def step(self, state: GPTState, previous: Tensor | None, site: int) -> tuple[Tensor, GPTState]:
        """Parameters of one site; its queries meet its own key and those of earlier sites.

        Args:
            state: from `init_state`, updated in place. Sites come in order, from 0.
            previous: `(B, site_dim)` value of site - 1, or None at the first site.
            site: t.

        Returns:
            `(B, P)` parameters, and the state.
        """
        return advance(state, previous, site), state

    @torch.no_grad()
    def native_step(self, batch_size: int) -> NativeStep | None:
        """See `NativeSteppingNetwork`."""
        from arbench.networks.native.tiles import ROWS, num_together
        from arbench_gpt.native import step
        from arbench_gpt.native_weights import native_weights

        panels = batch_size >= ROWS
        blocks = self._blocks()
        rows = self.inputs.rows()
        assert rows is not None  # values are discrete
        places = self.inputs.of_places() if self.places is None else self.places
        turns: tuple[Tensor, ...] = (rows[:0], rows[:0])
        if self.rotary:
            turns = rotary_turns(self.num_sites, self.head_dim, rows)
        *maps, readout = native_weights(
            blocks, self.norm, self.outputs, rotary=self.rotary, panels=panels
        )
        own_places = rows[:0] if places is None else places
        weights = (self.inputs.start, rows, own_places, turns, *maps, readout)
        width, hidden = rows.shape[1], blocks[0].up.out_features
        kept = (len(blocks), blocks[0].num_heads, self.num_sites, self.head_dim)
        state = kept, kept, (width,), (width,), (3 * width,), (width,), (hidden,), (self.num_sites,)
        read = partial(self._native_prefill, turns if self.rotary else (), maps)
        return NativeStep(step, weights, state, num_together(batch_size), read)

    @torch.no_grad()
    def _native_prefill(
        self,
        turns: tuple[Tensor, ...],
        maps: Sequence[tuple[Tensor, Tensor]],
        state: tuple[Tensor, ...],
        sites: Tensor,
    ) -> None:
        """Keep the keys and values of given sites where the native step looks for them."""
        from arbench_gpt.reading import read_events

        vectors = self._vectors(sites)
        read_events(vectors, turns, maps, self.num_heads, kept=(state[0], state[1]))
