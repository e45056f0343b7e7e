"""MADE: a fully connected network whose masks make it autoregressive."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from arbench import Discrete, Layout, NativeStep
from arbench.networks.dropout import unit_dropout
from arbench.networks.native import numba_is_there
from arbench.networks.site_features import SiteFeatures
from arbench_made.blocks import Staircase
from arbench_made.masks import Degrees
from arbench_made.state import MADEState

# Below, blocks are too small to be faster.
MANY_WEIGHTS = 1 << 18
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": nn.functional.relu,
    "softplus": nn.functional.softplus,
    "tanh": torch.tanh,
}


class MADE(nn.Module):
    """Masked autoencoder for distribution estimation.

    Weights belong to canonical sites, not to positions in an order. So one set of weights serves
    every order and every choice of masks; see `reordered`.

    Source: Germain, Gregor, Murray and Larochelle, "MADE: Masked Autoencoder for Distribution
    Estimation", ICML 2015; `direct` is the paper's matrix A.
    Deviation: alphabets of more than two values have one-hot inputs and P parameters per site, and
    the dims of a mixed table as many inputs as the largest alphabet;
    dropout on the hidden units is ours; for the degrees see `Degrees`.

    Args:
        layout: any order.
        num_params: P.
        hidden: widths of the hidden layers, at least one.
        direct: also connect inputs directly to outputs.
        activation: of the hidden units.
        dropout: probability that a training step drops a hidden unit.
        mask_seed: decides how many sites each hidden unit sees.

    Raises:
        ValueError: for a width below 1, an unknown activation, a dropout outside [0, 1) or a
            negative seed.

    Attributes:
        forward_kernel: "dense" multiplies by whole matrices with zeros in them, "blocks" leaves out
            most of the zeros, "compiled" leaves out inputs that are 0, too, and moves weights by
            compiled loops; see `Staircase`. Large networks start with the last one that there is.
        forward_kernels: their names; "compiled" is for discrete inputs, where Numba is installed.
    """

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        hidden: Sequence[int] = (500,),
        direct: bool = True,
        activation: Literal["relu", "softplus", "tanh"] = "relu",
        dropout: float = 0.0,
        mask_seed: int = 0,
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden must be one or more widths of at least 1, got {list(hidden)}")
        if activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"activation must be one of {known}, got {activation!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a probability below 1, got {dropout}")
        if mask_seed < 0:
            raise ValueError(f"mask_seed must be at least 0, got {mask_seed}")
        self.num_params = num_params
        self.hidden = tuple(hidden)
        self.activation = ACTIVATIONS[activation]
        self.dropout = dropout
        # In the canonical order, as the weights are.
        self.inputs = SiteFeatures(Layout(layout.spec, sites=layout.sites))
        self.inputs_per_site = self.inputs.width
        widths = (
            layout.num_sites * self.inputs_per_site,
            *self.hidden,
            layout.num_sites * num_params,
        )
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(widths))
        self.direct: nn.Linear | None = (
            nn.Linear(widths[0], widths[-1], bias=False) if direct else None
        )
        self.degrees = self._make_degrees(layout, mask_seed)
        num_weights = sum(layer.weight.numel() for layer in self._linears)
        may_compile = isinstance(layout.domain, Discrete) and numba_is_there()
        self.forward_kernels = ("dense", "blocks") + ("compiled",) * may_compile
        self.forward_kernel = self.forward_kernels[-1 if num_weights >= MANY_WEIGHTS else 0]
        self._all_stairs: dict[tuple[object, ...], Staircase] = {}

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, C)` int64 in [0, K), or floating point for real and mixed data.

        Returns:
            `(B, T, P)`; entry t depends on sites before t alone.
        """
        inputs = self._encode(sites)
        if self.forward_kernel != "dense" and _is_eager(inputs):
            return self._in_blocks(inputs).view(len(inputs), -1, self.num_params)
        hidden, last = self._hidden(inputs)[-1], self._linears[-1]
        values = nn.functional.linear(hidden, self._masked(last, -1, -2), last.bias)
        if self.direct is not None:
            values = values + nn.functional.linear(inputs, self._masked(self.direct, -1, 0))
        params: Tensor = values.view(len(values), -1, self.num_params)
        return params[:, self.degrees.permutation]

    def features(self, sites: Tensor) -> Tensor:
        """All hidden units, layer after layer, `(B, sum of the widths)`; see `FeatureNetwork`."""
        return torch.cat(self._hidden(self._encode(sites)), 1)

    def _hidden(self, values: Tensor) -> list[Tensor]:
        """The units of every hidden layer, `(B, width)`, from the input units `(B, T I)`."""
        layers = []
        for index, layer in enumerate(self._linears[:-1]):
            values = nn.functional.linear(values, self._masked(layer, index + 1, index), layer.bias)
            values = unit_dropout(self.activation(values), self.dropout, self.training)
            layers.append(values)
        return layers

    def _in_blocks(self, inputs: Tensor) -> Tensor:
        """Parameters `(B, T P)` of sites in their order, which is that of the outputs' degrees."""
        first = self._stairs(1, 0)
        values = told = inputs if first.columns is None else inputs[:, first.columns]
        for index, layer in enumerate(self._linears):
            stairs = self._stairs(index + 1, index)
            bias = layer.bias if stairs.rows is None else layer.bias[stairs.rows]
            add = stairs.add_told if index == 0 else stairs.add_product
            values = add(bias, values, layer.weight)
            if index + 1 < len(self._linears):
                values = self.activation(values)
                if self.training and self.dropout:
                    # Random numbers are of units as stored, so that blocks change none of them.
                    kept = unit_dropout(torch.ones_like(values), self.dropout, True)
                    values = values * (kept if stairs.rows is None else kept[:, stairs.rows])
        if self.direct is not None:
            values = self._stairs(-1, 0).add_told(values, told, self.direct.weight)
        return values

    def _stairs(self, target: int, source: int) -> Staircase:
        """That of the weights between two layers; made once."""
        weight, kernel = self._linears[0].weight, self.forward_kernel
        key = (kernel, target % self.degrees.num_layers, source, weight.dtype, weight.device)
        if key not in self._all_stairs:
            kind = _staircase(kernel)
            self._all_stairs[key] = kind(self.degrees, target, source, weight.dtype)
        return self._all_stairs[key]

    def reordered(self, layout: Layout, mask_seed: int) -> MADE:
        """The same weights in another order and with other masks.

        The result shares every Parameter with this network. It owns only its degrees, one small
        integer per unit. Source: Germain et al., order-agnostic and connectivity-agnostic
        training.

        Args:
            layout: the order, of the same events.
            mask_seed: decides how many sites each hidden unit sees.
        """
        view = copy.copy(self)
        # A shallow copy also shares the table of submodules; the view needs its own.
        view._modules = self._modules.copy()
        view._all_stairs = {}
        view.degrees = self._make_degrees(layout, mask_seed).to(self.degrees.positions.device)
        return view

    @torch.no_grad()
    def init_state(self, batch_size: int) -> MADEState:
        """Weights in order of degree, and room for every unit's value."""
        units, starts = zip(
            *(self.degrees.by_degree(i) for i in range(self.degrees.num_layers)), strict=True
        )
        weights, biases = [], []
        for index, layer in enumerate(self._linears):
            weights.append(layer.weight[units[index + 1]][:, units[index]])
            biases.append(layer.bias[units[index + 1]].unsqueeze(1))
        direct = None if self.direct is None else self.direct.weight[units[-1]][:, units[0]]
        values = [weights[0].new_zeros(len(own), batch_size) for own in units[:-1]]
        order = self.degrees.permutation.tolist()
        return MADEState(weights, biases, direct, list(starts), values, order)

    @torch.no_grad()
    def step(
        self, state: MADEState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, MADEState]:
        """Parameters `(B, P)` of a site; those of all sites cost one forward pass.

        As soon as the first t sites are known, exactly the units of degree t become final, in every
        layer: they read only units of degree at most t, which are final. This step computes them,
        once. In order of degree they are a few rows of the weights and read a prefix of the
        columns, so no mask is needed. See `SteppingNetwork.step`.
        """
        values, starts = state.values, state.starts
        if previous is not None:
            told = self.inputs.at(previous, state.order[site - 1], values[0].dtype)
            values[0][starts[0][site] : starts[0][site + 1]] = told.T
        for index, (weight, bias) in enumerate(zip(state.weights, state.biases, strict=True)):
            known = starts[index][site + 1]
            new = slice(starts[index + 1][site], starts[index + 1][site + 1])
            fresh = torch.addmm(bias[new], weight[new, :known], values[index][:known])
            if index + 1 < len(values):
                values[index + 1][new] = self.activation(fresh)
        if state.direct is not None:
            known = starts[0][site + 1]
            fresh = torch.addmm(fresh, state.direct[new, :known], values[0][:known])
        return fresh.T, state

    def native_step(self, batch_size: int) -> NativeStep:
        """See `NativeSteppingNetwork`."""
        from arbench_made.native import step

        *hidden, last = self._linears
        ordered = [self.degrees.by_degree(index + 1) for index in range(len(hidden))]
        order = self.degrees.permutation
        weights = (
            tuple(layer.weight for layer in hidden),
            tuple(layer.bias for layer in hidden),
            last.weight,
            last.bias,
            last.weight[:0] if self.direct is None else self.direct.weight,
            tuple(units for units, _ in ordered),
            tuple(torch.tensor(starts) for _, starts in ordered),
            order,
            bool((order.diff() == 1).all()),
            [*ACTIVATIONS.values()].index(self.activation),
        )
        widths = (self._linears[0].in_features, *self.hidden)
        return NativeStep(step, weights, tuple((width,) for width in widths), 8)

    @property
    def _linears(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def _make_degrees(self, layout: Layout, mask_seed: int) -> Degrees:
        return Degrees(layout, self.inputs_per_site, self.hidden, self.num_params, mask_seed)

    def _masked(self, layer: nn.Linear, target: int, source: int) -> Tensor:
        """A layer's weights with zeros where no connection exists; the weights stay as they are."""
        return torch.where(self.degrees.mask(target, source), layer.weight, 0.0)

    def _encode(self, sites: Tensor) -> Tensor:
        """Input units `(B, T I)` of sites `(B, T, C)`, in the canonical order."""
        told: Tensor = self.inputs(sites[:, self.degrees.positions], self._linears[0].weight.dtype)
        return told.flatten(1)


def _staircase(kernel: str) -> type[Staircase]:
    """What a kernel multiplies by; compiled loops import Numba."""
    if kernel != "compiled":
        return Staircase
    from arbench_made.panels import PanelStaircase

    return PanelStaircase


def _is_eager(values: Tensor) -> bool:
    """Whether a product is computed as it is written: on a CPU, without autocast or compiler."""
    on_cpu = values.device.type == "cpu"
    return on_cpu and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
