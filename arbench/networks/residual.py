"""A residual network over a sequence, built of branches (minGRU, S4D)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.dropout import unit_dropout
from arbench.networks.site_vectors import SiteLookup, SiteVectors
from arbench.probability.layouts import Layout


class Branch(nn.Module):
    """What is added to a stream: a function of what the stream is at a site and was before."""

    @abstractmethod
    def forward(self, stream: Tensor) -> Tensor:
        """What is added at all sites, `(B, T, H)` to the same."""

    def first_state(self, batch_size: int) -> Any:
        """What is remembered before the first site of a batch; None for a branch without memory."""
        return None

    @abstractmethod
    def advance(self, stream: Tensor, state: Any) -> Tensor:
        """What is added at one site, `(B, H)` to the same; the state is updated in place."""


class ResidualNetwork(nn.Module):
    """Site vectors, branches that add to them, a norm, and a linear map to the parameters.

    A subclass's constructor calls this one, makes its branches, and calls `add_readout`.

    Args:
        layout: any order; a sequence needs no geometry.
        width: H, of the stream.
        dropout: probability that a unit of the site vectors is left out of a training step.
        ordinal: see `SiteVectors`.
        coordinates: likewise.

    Raises:
        ValueError: if the dropout is outside [0, 1).
    """

    def __init__(
        self, layout: Layout, width: int, *, dropout: float, ordinal: bool, coordinates: bool
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a probability below 1, got {dropout}")
        self.dropout = dropout
        self.inputs = SiteVectors(layout, width, ordinal=ordinal, coordinates=coordinates)

    @property
    @abstractmethod
    def branches(self) -> Iterable[Branch]:
        """From first to last."""

    def add_readout(self, num_params: int) -> None:
        """The norm and the map to P parameters at the end of the stream."""
        width = len(self.inputs.start)
        self.norm = nn.LayerNorm(width)
        self.outputs = nn.Linear(width, num_params)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, site_dim)` int64 in [0, K), or floating point for real data.

        Returns:
            `(B, T, P)`; entry t depends on sites before t and, but for the rounding of branches
            that reorder sums, on no other.
        """
        params: Tensor = self.outputs(self.norm(self._stream(sites, [*self.branches])))
        return params

    def features(self, sites: Tensor) -> Tensor:
        """The mean over all sites of the stream after half of the branches, normalised, `(B, H)`.

        See `FeatureNetwork`. The norm has no weights, since none was trained for this place.
        """
        branches = [*self.branches]
        stream = self._stream(sites, branches[: (len(branches) + 1) // 2])
        return F.layer_norm(stream, stream.shape[-1:]).mean(1)

    def _stream(self, sites: Tensor, branches: Iterable[Branch]) -> Tensor:
        """The stream `(B, T, H)` after these branches."""
        stream = unit_dropout(self.inputs(sites), self.dropout, self.training)
        for branch in branches:
            stream = stream + branch(stream)
        return stream

    @torch.no_grad()
    def init_state(self, batch_size: int) -> ResidualState:
        """Weights as a step needs them, and every branch before its first site."""
        return ResidualState(
            lookup=SiteLookup(self.inputs),
            stream=self.inputs.start.new_empty(batch_size, len(self.inputs.start)),
            memories=[(branch, branch.first_state(batch_size)) for branch in self.branches],
        )

    @torch.no_grad()
    def step(
        self, state: ResidualState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, ResidualState]:
        """Parameters `(B, P)` of a site at a cost that never grows; see `SteppingNetwork.step`."""
        stream = state.stream
        state.lookup(previous, site, stream)
        for branch, memory in state.memories:
            stream.add_(branch.advance(stream, memory))
        return self.outputs(self.norm(stream)), state


class ResidualState(NamedTuple):
    """What a step keeps for one batch.

    Attributes:
        lookup: the vector of a site, by the value of the one before.
        stream: `(B, H)`.
        memories: the branches from first to last, each with its state.
    """

    lookup: SiteLookup
    stream: Tensor
    memories: list[tuple[Branch, Any]]
