"""RNN-NADE: hidden units of the steps so far, and a NADE over the keys of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.dropout import unit_dropout
from arbench_rnn_nade.state import RecurrentNADEState, Weights

Activation = Literal["relu", "sigmoid"]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "sigmoid": torch.sigmoid}


class RecurrentNADE(nn.Module):
    """A recurrence over the steps of an event, whose units set the biases of a NADE over its keys.

    An event of two axes is steps, its rows, of N keys each: those of a piano roll, or the pixels of
    a row of an image. With units `u_s`, which have read all steps before s, key k of step s has
    hidden units `h = act(c + C u_s + sum_{j < k} V_j x_sj)` and parameters `b_k + B_k u_s + U_k h`.
    First units are learned.

    The hidden units of a step change after a key that sounds and after no other. So a step with n
    such keys has n + 1 different ones at most, and only those are computed.

    Source: Boulanger-Lewandowski, Bengio and Vincent, "Modeling temporal dependencies in
    high-dimensional sequences", ICML 2012, section 5 (RNN-NADE). Deviations: learned first units;
    ReLU by default; dropout; Adam and no pretraining.

    Args:
        layout: binary dims of an event with rows, drawn one at a time, in raster order.
        num_params: P, parameters per key.
        hidden: H, hidden units of NADE.
        units: R, recurrent units per layer.
        num_layers: of the recurrence; each reads the units of the one below.
        activation: of the hidden units, "relu" or "sigmoid" (the paper's).
        dropout: probability that a training step leaves out a recurrent unit on its way to the
            biases or the next layer, and a hidden unit on its way to the parameters.
        input_dropout: probability that the recurrence of a training event is told 0 of a key; the
            others are scaled up.

    Raises:
        ValueError: if the layout or an argument is not one of these.
    """

    # A product has a row for every distinct state of its events' hidden units, and how it rounds
    # may depend on how many rows it has.
    reordered_sums = True
    tiny_hyperparameters: ClassVar = {"hidden": 6, "units": 5}
    layer_class: ClassVar[type[nn.RNNBase]]
    num_states: ClassVar = 1

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        hidden: int = 200,
        units: int = 200,
        num_layers: int = 1,
        activation: Activation = "relu",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if layout.alphabet_size != 2 or layout.site_dim != 1:
            raise ValueError("keys are binary dims, drawn one at a time, with sites='dim'")
        if layout.grid is None or len(layout.grid) < 2:
            raise ValueError(
                "steps are the rows of an event in raster order, and these events have none; use a "
                "piano roll or an image, with order='raster'"
            )
        if min(hidden, units, num_layers) < 1:
            raise ValueError(
                "hidden, units and num_layers must be at least 1, got "
                f"{hidden}, {units} and {num_layers}"
            )
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation is 'relu' or 'sigmoid', got {activation!r}")
        for probability in (dropout, input_dropout):
            if not 0 <= probability < 1:
                raise ValueError(f"dropout must be a probability below 1, got {probability}")
        self.num_keys = layout.num_sites // layout.grid[0]
        self.num_params = num_params
        self.activation = activation
        self.dropout, self.input_dropout = dropout, input_dropout
        layer_class: Any = self.layer_class
        between = dropout if num_layers > 1 else 0.0
        self.layers: nn.RNNBase = layer_class(
            self.num_keys, units, num_layers, batch_first=True, dropout=between
        )
        self.initial = nn.Parameter(torch.zeros(self.num_states, num_layers, units))
        self.to_hidden = nn.Linear(units, hidden)  # C and c
        self.to_params = nn.Linear(units, self.num_keys * num_params)  # B and b
        self.weight = nn.Parameter(torch.empty(self.num_keys, hidden))  # V
        self.readout = nn.Parameter(torch.empty(self.num_keys * num_params, hidden))  # U
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        for name, weight in self.layers.named_parameters():
            if name.startswith("weight_hh"):
                for block in torch.split(weight, weight.shape[1]):
                    nn.init.orthogonal_(block)
            elif name.startswith("weight_ih"):
                for block in torch.split(weight, self.layers.hidden_size):
                    nn.init.xavier_uniform_(block)
            else:
                nn.init.zeros_(weight)
        nn.init.zeros_(self.to_hidden.bias)
        nn.init.zeros_(self.to_params.bias)
        # Few keys of many sound, so that their sum is not scaled down by how many there are.
        nn.init.normal_(self.weight, std=self.num_keys**-0.5)
        nn.init.normal_(self.readout, std=self.readout.shape[1] ** -0.5)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, 1)` int64, 0 or 1.

        Returns:
            `(B, T, P)`; entry t depends on all sites before t and on no other.
        """
        steps = sites.view(len(sites), -1, self.num_keys).to(self.weight.dtype)
        told = unit_dropout(steps[:, :-1], self.input_dropout, self.training)
        units, _ = self._run(told)
        units = torch.cat([self._first(len(sites)), units], 1).flatten(0, 1)
        units = unit_dropout(units, self.dropout, self.training)
        params = self._within(steps.flatten(0, 1), units)
        return params.view(len(sites), -1, self.num_params)

    def features(self, sites: Tensor) -> Tensor:
        """The units of the last layer, once they have read every step, `(B, R)`."""
        steps = sites.view(len(sites), -1, self.num_keys).to(self.weight.dtype)
        units: Tensor = self._run(steps)[0][:, -1]
        return units

    def _first(self, batch_size: int) -> Tensor:
        """The last layer's units at the first step, `(B, 1, R)`."""
        return self.initial[0, -1].expand(batch_size, 1, -1)

    def _run(self, steps: Tensor) -> tuple[Tensor, Any]:
        """The units `(B, S, R)` of the last layer after each of the steps `(B, S, N)`."""
        if steps.shape[1] == 0:
            return steps.new_empty(len(steps), 0, self.layers.hidden_size), None
        first = self.initial.unsqueeze(2).expand(-1, -1, len(steps), -1).contiguous()
        units, last = self.layers(steps, first[0] if self.num_states == 1 else tuple(first))
        return units, last

    def _within(self, steps: Tensor, units: Tensor) -> Tensor:
        """Parameters `(M, N, P)` of the keys of steps `(M, N)`, given their units `(M, R)`.

        M rows of hidden units are those of the first key of each step; one more follows every key
        that sounds, but for the last key, after which there is none.
        """
        num_steps, num_keys = steps.shape
        speaks = steps[:, :-1] != 0
        step, key = speaks.nonzero(as_tuple=True)
        is_known = torch.arange(num_keys, device=steps.device) <= key[:, None]
        known = steps.index_select(0, step) * is_known
        first = self.to_hidden(units)
        later = torch.addmm(first.index_select(0, step), known, self.weight)
        hidden = _ACTIVATIONS[self.activation](torch.cat([first, later]))
        hidden = unit_dropout(hidden, self.dropout, self.training)
        table = (hidden @ self.readout.T).view(-1, self.num_params)
        # A key's row is that of the last key before it that sounded, or the step's first one.
        so_far = speaks.flatten().cumsum(0).view_as(speaks)
        ended = so_far[:, -1:] - speaks.sum(1, keepdim=True)  # before the step
        number = torch.arange(num_steps, device=steps.device)[:, None]
        row = torch.where(so_far > ended, num_steps + so_far - 1, number)
        rows = torch.cat([number, row], 1)
        place = rows * num_keys + torch.arange(num_keys, device=steps.device)
        own = table.index_select(0, place.flatten()).view(num_steps, -1)
        params: Tensor = self.to_params(units) + own
        return params.view(num_steps, num_keys, self.num_params)

    @torch.no_grad()
    def init_state(self, batch_size: int) -> RecurrentNADEState:
        """Every layer in its first state, and room for a step."""
        weights = Weights(
            layers=[
                tuple(
                    self.layers.get_parameter(f"{kind}_l{layer}").detach()
                    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                )
                for layer in range(self.layers.num_layers)
            ],
            weight=self.weight.detach().unsqueeze(1).unbind(0),
            readout=self.readout.detach().view(self.num_keys, self.num_params, -1).mT.unbind(0),
        )
        units = self.initial.detach().unsqueeze(2).repeat(1, 1, batch_size, 1)
        new = self.weight.new_zeros
        return RecurrentNADEState(
            weights=weights,
            units=units,
            step=new(batch_size, self.num_keys),
            pre=new(batch_size, self.weight.shape[1]),
            hidden=new(batch_size, self.weight.shape[1]),
            params=new(batch_size, self.num_keys * self.num_params),
        )

    @torch.no_grad()
    def step(
        self, state: RecurrentNADEState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, RecurrentNADEState]:
        """Parameters `(B, P)` of a site; see `SteppingNetwork.step`.

        The recurrence moves on at the first key of a step, which so costs more than the others.
        """
        key = site % self.num_keys
        if previous is not None:
            told = previous.to(state.pre.dtype)
            state.step[:, key - 1 : key or None] = told
            if key > 0:
                state.pre.addmm_(told, state.weights.weight[key - 1])
        if key == 0:
            if site > 0:
                self._advance(state)
            units = state.units[0, -1]
            torch.addmm(self.to_hidden.bias, units, self.to_hidden.weight.T, out=state.pre)
            torch.addmm(self.to_params.bias, units, self.to_params.weight.T, out=state.params)
        if self.activation == "relu":
            torch.clamp_min(state.pre, 0, out=state.hidden)
        else:
            torch.sigmoid(state.pre, out=state.hidden)
        own = state.params[:, key * self.num_params : (key + 1) * self.num_params]
        return torch.addmm(own, state.hidden, state.weights.readout[key]), state

    def _advance(self, state: RecurrentNADEState) -> None:
        """Read the step that is complete."""
        raise NotImplementedError


class RNNNADE(RecurrentNADE):
    """RNN-NADE with a plain recurrence, `u' = tanh(W u + V x + b)`; see `RecurrentNADE`."""

    layer_class = nn.RNN

    def _advance(self, state: RecurrentNADEState) -> None:
        below = state.step
        for layer, weights in enumerate(state.weights.layers):
            below = torch.rnn_tanh_cell(below, state.units[0, layer], *weights)
            state.units[0, layer] = below


class LSTMNADE(RecurrentNADE):
    """RNN-NADE with long short-term memory; see `RecurrentNADE`.

    Source: for the LSTM, Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation
    9, 1997; in place of the plain recurrence as in Johnson, "Generating polyphonic music using tied
    parallel networks", EvoMUSART 2017 (LSTM-NADE).
    """

    layer_class = nn.LSTM
    num_states = 2

    @torch.no_grad()
    def _initialise(self) -> None:
        super()._initialise()
        for layer in range(self.layers.num_layers):
            bias = self.layers.get_parameter(f"bias_ih_l{layer}")
            bias[self.layers.hidden_size : 2 * self.layers.hidden_size] = 1.0  # forget gates

    def _advance(self, state: RecurrentNADEState) -> None:
        below = state.step
        for layer, weights in enumerate(state.weights.layers):
            held = [state.units[0, layer], state.units[1, layer]]
            below, cell = torch.lstm_cell(below, held, *weights)
            state.units[0, layer], state.units[1, layer] = below, cell
