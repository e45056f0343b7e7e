"""minGRU: a recurrence that is linear in its state, so that training needs no walk along it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.site_vectors import SiteLookup, SiteVectors
from arbench.probability.layouts import Layout
from arbench_rnn.mingru.scan import scan


class MinGRU(nn.Module):
    """Residual blocks of minGRUs and perceptrons over the sites in their order.

    `h_t = (1 - z_t) h_{t-1} + z_t n_t`, where the gate `z_t = sigmoid(W x_t)` and what is new,
    `n_t = V x_t`, are functions of the layer's input alone. The stream of width H goes through
    normalisation, minGRU and a linear map, which is added to it; the same with a perceptron; and
    so on.

    Source: Feng et al., "Were RNNs all we needed?", 2024. Deviations:
    the scan is one of blocks and in plain numbers, for which it needs no positive states, instead
    of one in logarithms, and n is linear as in their simplest form; first states are learned;
    around the layer stand the blocks of a pre-normalised transformer.

    Linear maps start as Glorot and Bengio's uniform initialisation has them, those that add to the
    stream smaller by the root of their number; biases start at 0, those of the gates such that
    units are kept for 2 to 64 sites; first states start at 0.

    Args:
        layout: any order; a sequence needs no geometry.
        num_params: P.
        width: H, of the stream.
        hidden: units of each minGRU.
        num_blocks: of a minGRU and a perceptron each.
        perceptron: hidden units of each perceptron; 0 leaves them out.
        dropout: probability that a unit of what is added to the stream, or enters it first, is
            left out of a training step.
        ordinal: add to the vector of a discrete value a multiple of the value itself, so that
            neighbouring values start alike.
        coordinates: add vectors for the row, column and channel of the site whose turn it is.

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
        super().__init__()
        if min(width, hidden, num_blocks) < 1 or perceptron < 0:
            raise ValueError(
                "width, hidden and num_blocks are at least 1 and perceptron at least 0, got "
                f"{width}, {hidden}, {num_blocks} and {perceptron}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a probability below 1, got {dropout}")
        self.dropout = dropout
        self.inputs = SiteVectors(layout, width, ordinal=ordinal, coordinates=coordinates)
        num_parts = num_blocks * (2 if perceptron else 1)
        scale = num_parts**-0.5
        parts: list[Part] = []
        for _ in range(num_blocks):
            parts.append(GatedUnits(width, hidden, scale))
            if perceptron:
                parts.append(Perceptron(width, perceptron, scale))
        self.parts = cast(Sequence[Part], nn.ModuleList(parts))
        self.norm = nn.LayerNorm(width)
        self.outputs = nn.Linear(width, num_params)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, site_dim)` int64 in [0, K), or floating point for real data.

        Returns:
            `(B, T, P)`; entry t depends on all sites before t and on no other.
        """
        stream = F.dropout(self.inputs(sites), self.dropout, self.training)
        for part in self.parts:
            stream = stream + F.dropout(part(stream), self.dropout, self.training)
        params: Tensor = self.outputs(self.norm(stream))
        return params

    @torch.no_grad()
    def init_state(self, batch_size: int) -> SamplingState:
        """Weights as a step needs them, and every minGRU in its first state."""
        return SamplingState(
            lookup=SiteLookup(self.inputs),
            stream=self.inputs.start.new_empty(batch_size, len(self.inputs.start)),
            hidden=[part.first_state(batch_size) for part in self.parts],
        )

    @torch.no_grad()
    def step(
        self, state: SamplingState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, SamplingState]:
        """Parameters of one site; the cost does not depend on how many came before.

        Args:
            state: from `init_state`, updated in place. Sites are visited in order, from 0.
            previous: `(B, site_dim)` value of site - 1, or None at the first site.
            site: t.

        Returns:
            `(B, P)` parameters, and the state.
        """
        stream = state.stream
        state.lookup(previous, site, stream)
        for part, hidden in zip(self.parts, state.hidden, strict=True):
            stream.add_(part.advance(stream, hidden))
        return self.outputs(self.norm(stream)), state


class Part(nn.Module):
    """What is added to the stream: a function of its normalised values.

    Args:
        width: H, of the stream.
        num_inner: outputs of the first linear map.
        num_units: inputs of the last one.
        scale: of the last one's initial weights, beside what their shape asks for.
    """

    def __init__(self, width: int, num_inner: int, num_units: int, scale: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, num_inner)
        self.mix = nn.Linear(num_units, width, bias=False)
        for weight in torch.split(self.inner.weight, num_units):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.inner.bias)
        nn.init.xavier_uniform_(self.mix.weight, gain=scale)

    def first_state(self, batch_size: int) -> Tensor | None:
        """What is known before the first site, `(B, units)`; None for parts without memory."""
        return None

    def advance(self, stream: Tensor, state: Tensor | None) -> Tensor:
        """What is added at one site, `(B, H)`, from the stream there; updates the state."""
        added: Tensor = self(stream)
        return added


class Perceptron(Part):
    """One hidden layer of GELUs.

    Args:
        width: H.
        num_units: of the hidden layer.
        scale: see `Part`.
    """

    def __init__(self, width: int, num_units: int, scale: float) -> None:
        super().__init__(width, num_units, num_units, scale)

    def forward(self, stream: Tensor) -> Tensor:
        """`(..., H)` to `(..., H)`."""
        added: Tensor = self.mix(F.gelu(self.inner(self.norm(stream))))
        return added


class GatedUnits(Part):
    """A minGRU.

    Args:
        width: H.
        num_units: of the recurrence.
        scale: see `Part`.
    """

    def __init__(self, width: int, num_units: int, scale: float) -> None:
        super().__init__(width, 2 * num_units, num_units, scale)
        self.initial = nn.Parameter(torch.zeros(num_units))
        sites = torch.logspace(1, 6, num_units, base=2)
        with torch.no_grad():  # a gate of 1 / n keeps a unit for about n sites
            self.inner.bias[:num_units] = torch.logit(1 / sites)

    def forward(self, stream: Tensor) -> Tensor:
        """`(B, T, H)` to `(B, T, H)`."""
        gates, new = self.inner(self.norm(stream)).chunk(2, -1)
        if gates.dtype in (torch.bfloat16, torch.float16):  # of many sites, sums need more digits
            gates, new = gates.float(), new.float()
        first = self.initial.to(new.dtype).expand(len(stream), -1)
        added: Tensor = self.mix(scan((-gates).sigmoid(), gates.sigmoid() * new, first))
        return added

    def first_state(self, batch_size: int) -> Tensor:
        """See `Part.first_state`."""
        return self.initial.repeat(batch_size, 1)

    def advance(self, stream: Tensor, state: Tensor | None) -> Tensor:
        """See `Part.advance`."""
        assert state is not None  # it is `first_state`'s
        gates, new = self.inner(self.norm(stream)).chunk(2, -1)
        added: Tensor = self.mix(state.lerp_(new, gates.sigmoid_()))
        return added


class SamplingState(NamedTuple):
    """What `MinGRU.step` keeps for one batch.

    Attributes:
        lookup: the vector of a site, by the value of the one before.
        stream: `(B, H)`.
        hidden: per part its state.
    """

    lookup: SiteLookup
    stream: Tensor
    hidden: list[Tensor | None]
