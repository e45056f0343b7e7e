"""Deep NADE: a network that reads what is known of an event, whatever that is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.dropout import unit_dropout
from arbench_any_order.known_sites import KnownSites
from arbench_any_order.state import AnyOrderState

Activation = Literal["relu", "gelu", "tanh"]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}
# So many hidden units are computed at once; more would not fit into a processor's caches.
_MOST_UNITS = 1 << 20


class AnyOrder(nn.Module):
    """The conditionals of every site given any set of known sites, in one network.

    It reads the values of the known sites, and which ones are known. So it depends on the set of
    known sites, not on the order in which they became known, and any order of the sites makes an
    exact distribution of it. Distributions of different orders differ, as nothing forces them to
    agree. Training draws an order and a prefix of it for every event.

    Source: Uria, Murray and Larochelle, "A deep and tractable density estimator", ICML 2014.
    Deviations: `residual`, dropout, larger alphabets, whole pixels and any head; lengths of
    prefixes are spread evenly over a batch, not drawn independently.

    Args:
        layout: any order.
        num_params: P.
        hidden: widths of the hidden layers, at least one.
        activation: "relu" (the paper's), "gelu" or "tanh".
        residual: add to each layer after the first what it reads; all widths are then equal.
        dropout: probability that a training step drops a hidden unit.

    Raises:
        ValueError: for a width below 1, unequal widths with `residual`, an unknown activation, or a
            dropout outside [0, 1).
    """

    any_order: ClassVar = True
    tiny_hyperparameters: ClassVar = {"hidden": (16, 16)}

    permutation: Tensor

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        hidden: Sequence[int] = (500, 500),
        activation: Activation = "relu",
        residual: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden must be one or more widths of at least 1, got {list(hidden)}")
        if residual and len(set(hidden)) > 1:
            raise ValueError(f"residual layers have one width, got {list(hidden)}")
        if activation not in get_args(Activation):
            known = ", ".join(get_args(Activation))
            raise ValueError(f"activation must be one of {known}, got {activation!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a probability below 1, got {dropout}")
        self.num_params = num_params
        self.activation = _ACTIVATIONS[activation]
        self.residual = residual
        self.dropout = dropout
        first, last = hidden[0], hidden[-1]
        self.known_sites = KnownSites(layout, first)
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs) for inputs, outputs in pairwise(hidden)
        )
        self.readout = nn.Parameter(torch.empty(layout.num_sites, num_params, last))
        self.readout_bias = nn.Parameter(torch.zeros(layout.num_sites, num_params))
        self.register_buffer("permutation", layout.permutation.clone(), persistent=False)
        for layer in self._linears:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.readout, std=0.5 * last**-0.5)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site, each given exactly the sites before it.

        What known sites add to the first layer is a sum, so one more site costs one vector; the
        layers above it are computed T times, in parallel.

        Args:
            sites: `(B, T, C)` int64 in [0, K), or floating point for real data.

        Returns:
            `(B, T, P)`; entry t depends on sites before t alone.
        """
        total = self.known_sites.bias.expand(len(sites), -1)
        widest = max([total.shape[1], *(layer.out_features for layer in self._linears)])
        at_once = max(1, _MOST_UNITS // (len(sites) * widest))
        params = []
        for start in range(0, sites.shape[1], at_once):
            part = sites[:, start : start + at_once]
            numbers = self.permutation[start : start + at_once]
            added = self.known_sites.of_each(part, numbers)
            sums = torch.cat((total.unsqueeze(1), added), 1).cumsum(1)
            before, total = sums[:, :-1], sums[:, -1]
            values = torch.einsum("bsh,sph->bsp", self._top(before), self.readout[numbers])
            params.append(values + self.readout_bias[numbers])
        return torch.cat(params, 1)

    def training_params(self, sites: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters of every site given the same random known sites, and what each site counts.

        Every event draws an order of all sites and a length d from 0 to T - 1, all of them equally
        likely; its first d sites are known. An unknown site counts T / (T - d), a known one 0. See
        `AnyOrderNetwork.training_params`.

        Source: Uria et al., as above.

        Args:
            sites: as for `forward`.

        Returns:
            `(B, T, P)` parameters and `(B, T)` weights.
        """
        num_events, num_sites = sites.shape[:2]
        device = sites.device
        # Each length is equally likely for each event, and a batch has short and long prefixes.
        places = (
            torch.rand((), device=device) + torch.arange(num_events, device=device) / num_events
        )
        lengths = (places.frac() * num_sites).long().clamp(max=num_sites - 1)
        orders = torch.rand(num_events, num_sites, device=device).argsort(1)
        in_prefix = torch.arange(num_sites, device=device) < lengths.unsqueeze(1)
        known = torch.empty_like(in_prefix).scatter_(1, orders, in_prefix)
        weights = num_sites / (num_sites - lengths).to(self.readout).unsqueeze(1)
        weights = weights.masked_fill(known, 0.0)
        canonical = sites[:, self.permutation.argsort()]
        top = self._top(self.known_sites.of_all(canonical, known))
        values = torch.addmm(self.readout_bias.flatten(), top, self.readout.flatten(0, 1).T)
        params = values.view(num_events, num_sites, self.num_params)
        return params[:, self.permutation], weights[:, self.permutation]

    def reordered(self, layout: Layout, mask_seed: int) -> AnyOrder:
        """The same weights in another order; there are no masks to choose.

        Args:
            layout: the order, of the same events.
            mask_seed: changes nothing.
        """
        view = copy.copy(self)
        # A shallow copy also shares the table of buffers; the view needs its own.
        view._buffers = self._buffers.copy()
        view.permutation = layout.permutation.to(self.permutation.device)
        return view

    def features(self, sites: Tensor) -> Tensor:
        """The last hidden layer once every site is known, `(B, H)`; see `FeatureNetwork`."""
        known = torch.ones(sites.shape[:2], dtype=torch.bool, device=sites.device)
        return self._top(self.known_sites.of_all(sites[:, self.permutation.argsort()], known))

    @torch.no_grad()
    def init_state(self, batch_size: int) -> AnyOrderState:
        """The bias alone, as nothing is known, and readouts in the order of the sites."""
        return AnyOrderState(
            self.known_sites.bias.repeat(batch_size, 1),
            self.permutation.unsqueeze(1).unbind(0),
            self.readout[self.permutation].mT.contiguous().unbind(0),
            self.readout_bias[self.permutation].unbind(0),
        )

    @torch.no_grad()
    def step(
        self, state: AnyOrderState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, AnyOrderState]:
        """Parameters `(B, P)` of a site; one more known site, and then the layers above.

        See `SteppingNetwork.step`.
        """
        if previous is not None:
            added = self.known_sites.of_each(previous.unsqueeze(1), state.numbers[site - 1])
            state.total.add_(added.squeeze(1))
        top = self._top(state.total)
        return torch.addmm(state.biases[site], top, state.readouts[site]), state

    def _top(self, total: Tensor) -> Tensor:
        """The last hidden layer `(..., H)` of sums over known sites `(..., H)`."""
        values = unit_dropout(self.activation(total), self.dropout, self.training)
        for layer in self._linears:
            above = unit_dropout(self.activation(layer(values)), self.dropout, self.training)
            values = values + above if self.residual else above
        return values

    @property
    def _linears(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]
