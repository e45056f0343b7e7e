"""Recurrent networks: a state passes from site to site and holds all that they know."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from arbench import Layout, NativeStep
from arbench.networks.dropout import unit_dropout
from arbench.networks.native.memory import fresh_tensor
from arbench.networks.site_vectors import SiteLookup, SiteVectors
from arbench_rnn.state import Cell, GRUCell, LayerWeights, LSTMCell, RecurrentState, TanhCell


class RecurrentNetwork(nn.Module):
    """Layers of one kind over the sites, in any order, and a linear map to the parameters.

    The input at a site is a vector for the value of the site before. First states are learned.
    Recurrent matrices start orthogonal, one block per gate. Matrices that read inputs start with
    Glorot and Bengio's uniform initialisation. Biases start at 0, those of an LSTM's forget gates
    at 1 (Jozefowicz, Zaremba and Sutskever, ICML 2015); first states start at 0.

    Args:
        layout: any order.
        num_params: P.
        hidden: H, units per layer.
        num_layers: L; each layer reads the units of the one below.
        embedding: width of the vectors for values.
        dropout: probability that a training step drops a unit on its way to the next layer, or
            from the last one to the parameters; never on its way to the next site.
        locked_dropout: drop the same units at every site of an event, not others at each (Gal and
            Ghahramani, "A theoretically grounded application of dropout in recurrent neural
            networks", NeurIPS 2016, section 4, without its masks inside the recurrence).
        weight_dropout: probability that a training step drops a weight of a recurrent matrix, the
            same at every site of every event (Merity, Keskar and Socher, "Regularizing and
            optimizing LSTM language models", ICLR 2018, section 2).
        ordinal: add a multiple of a discrete value to its vector, so that neighbouring values
            start with similar vectors.
        coordinates: add vectors for the row, column and channel of the site to predict.

    Raises:
        ValueError: for sizes below 1 or a dropout outside [0, 1).
    """

    tiny_hyperparameters: ClassVar = {"hidden": 12, "num_layers": 2, "embedding": 6}
    layer_class: ClassVar[type[nn.RNNBase]]
    run_layer: ClassVar[Callable[..., Any]]
    cell_class: ClassVar[type[Cell]]
    num_states: ClassVar = 1

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        hidden: int = 256,
        num_layers: int = 1,
        embedding: int = 64,
        dropout: float = 0.0,
        locked_dropout: bool = False,
        weight_dropout: float = 0.0,
        ordinal: bool = False,
        coordinates: bool = False,
    ) -> None:
        super().__init__()
        if min(hidden, num_layers, embedding) < 1:
            raise ValueError(
                "hidden, num_layers and embedding must be at least 1, got "
                f"{hidden}, {num_layers} and {embedding}"
            )
        for probability in (dropout, weight_dropout):
            if not 0 <= probability < 1:
                raise ValueError(f"dropout must be a probability below 1, got {probability}")
        self.num_layers = num_layers
        self.dropout = dropout
        self.locked_dropout = locked_dropout
        self.weight_dropout = weight_dropout
        self.inputs = SiteVectors(layout, embedding, ordinal=ordinal, coordinates=coordinates)
        layer_class: Any = self.layer_class
        self.layers: nn.RNNBase = layer_class(embedding, hidden, num_layers, batch_first=True)
        self.initial = nn.Parameter(torch.zeros(self.num_states, num_layers, hidden))
        self.outputs = nn.Linear(hidden, num_params)
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

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, site_dim)` int64 in [0, K), or floating point for real data.

        Returns:
            `(B, T, P)`; entry t depends on all sites before t and on no other.
        """
        params: Tensor = self.outputs(self._run(sites)[0])
        return params

    def features(self, sites: Tensor) -> Tensor:
        """The last state of every layer, side by side, `(B, S L H)`; see `FeatureNetwork`.

        It has read every value but the last. An LSTM has two states per layer, units and cells.
        """
        return torch.cat(self._run(sites)[1], 1)

    def _run(self, sites: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The units `(B, T, H)` of the last layer, and the last states `(B, H)` of all layers."""
        first = self.initial.unsqueeze(2).expand(-1, -1, len(sites), -1).contiguous()
        values, last = self.inputs(sites), []
        for layer in range(self.num_layers):
            states = first[:, layer : layer + 1]
            values, *ended = self.run_layer(
                values,
                states[0] if self.num_states == 1 else tuple(states),
                self._thinned(self._layer_weights(layer)),
                has_biases=True,
                num_layers=1,
                dropout=0.0,
                train=self.training,
                bidirectional=False,
                batch_first=True,
            )
            values = self._left_out(values)
            last += [state.squeeze(0) for state in ended]
        return values, last

    def _layer_weights(self, layer: int) -> LayerWeights:
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return LayerWeights(*(self.layers.get_parameter(f"{kind}_l{layer}") for kind in kinds))

    def _thinned(self, weights: LayerWeights) -> LayerWeights:
        """A layer's weights; in training some of the recurrent ones are dropped."""
        kept = unit_dropout(weights.weight_hh, self.weight_dropout, self.training)
        return weights._replace(weight_hh=kept)

    def _left_out(self, values: Tensor) -> Tensor:
        """Dropout of `(B, T, H)`."""
        if not self.locked_dropout:
            return unit_dropout(values, self.dropout, self.training)
        every = values.new_ones(len(values), 1, values.shape[2])
        return values * unit_dropout(every, self.dropout, self.training)

    @torch.no_grad()
    def init_state(self, batch_size: int) -> RecurrentState:
        """Weights as a step needs them, and every layer in its first state."""
        cells = []
        for layer in range(self.num_layers):
            weights = LayerWeights(*(w.detach() for w in self._layer_weights(layer)))
            cells.append(self.cell_class(weights, self.initial[:, layer], batch_size))
        return RecurrentState(
            lookup=SiteLookup(self.inputs, cells[0].weight_in.T, cells[0].bias_in),
            cells=cells,
            pairs=list(pairwise(cells)),
            readout=self.outputs.weight.detach().T.contiguous(),
            readout_bias=self.outputs.bias.detach(),
        )

    @torch.no_grad()
    def prefill(self, state: RecurrentState, sites: Tensor) -> RecurrentState:
        """The state after the steps of the first sites; see `PrefillingNetwork.prefill`."""
        ended = iter(self._run(sites)[1])
        for cell in state.cells:
            cell.take_up(*(next(ended) for _ in range(self.num_states)))
        return state

    def step(
        self, state: RecurrentState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, RecurrentState]:
        """Parameters `(B, P)` of a site, at the same cost for all; see `SteppingNetwork.step`."""
        first = state.cells[0]
        state.lookup(previous, site, first.inputs)
        first.advance()
        for below, cell in state.pairs:
            torch.addmm(cell.bias_in, below.hidden, cell.weight_in, out=cell.inputs)
            cell.advance()
        hidden = state.cells[-1].hidden
        return torch.addmm(state.readout_bias, hidden, state.readout), state


class RNN(RecurrentNetwork):
    """The plain recurrence, `h_t = tanh(W h_{t-1} + V x_{t-1} + b)`; see `RecurrentNetwork`.

    Source: Elman, "Finding structure in time", Cognitive Science 14, 1990. Deviations: learned
    first states; b is the sum of two biases, as in torch's kernels.
    """

    layer_class = nn.RNN
    run_layer = staticmethod(torch.rnn_tanh)
    cell_class = TanhCell


class LSTM(RecurrentNetwork):
    """Long short-term memory; see `RecurrentNetwork`.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9, 1997, with
    the forget gates of Gers, Schmidhuber and Cummins, "Learning to forget", Neural Computation 12,
    2000; layers and dropout as in Zaremba, Sutskever and Vinyals, "Recurrent neural network
    regularization", 2014. Deviations: learned first states; no dropout on the inputs.
    """

    layer_class = nn.LSTM
    run_layer = staticmethod(torch.lstm)
    cell_class = LSTMCell
    num_states = 2

    @torch.no_grad()
    def _initialise(self) -> None:
        super()._initialise()
        for layer in range(self.num_layers):
            bias = self.layers.get_parameter(f"bias_ih_l{layer}")
            bias[self.layers.hidden_size : 2 * self.layers.hidden_size] = 1.0

    @torch.no_grad()
    def native_step(self, batch_size: int) -> NativeStep:
        """See `NativeSteppingNetwork`."""
        from arbench.networks.native.tiles import ROWS, in_panels, num_together
        from arbench_rnn.native import step

        layers = [self._layer_weights(layer) for layer in range(self.num_layers)]
        first, *others = layers
        lookup = SiteLookup(self.inputs, first.weight_ih, first.bias_ih + first.bias_hh)
        rows = lookup.tables[0]
        size = self.layers.hidden_size
        both = fresh_tensor((len(others), 4 * size, 2 * size), rows)
        biases = rows.new_empty(len(others), 4 * size)
        for number, layer in enumerate(others):
            torch.cat((layer.weight_ih, layer.weight_hh), 1, out=both[number])
            torch.add(layer.bias_ih, layer.bias_hh, out=biases[number])
        matrices = first.weight_hh, both
        weights = (
            lookup.start,
            rows,
            torch.stack(lookup.places) if lookup.places else rows[:0],
            self.initial,
            *(map(in_panels, matrices) if batch_size >= ROWS else matrices),
            biases,
            self.outputs.weight,
            self.outputs.bias,
        )

        @torch.no_grad()
        def prefill(state: tuple[Tensor, ...], sites: Tensor) -> None:
            # Units and cells of every layer in turn.
            ended = self._run(sites)[1]
            for own, found in zip(state, (ended[::2], ended[1::2]), strict=False):
                own.copy_(torch.stack(found, 1))

        kept = (self.num_layers, size)
        state = (kept, kept, (4 * size,), (2 * size,))
        return NativeStep(step, weights, state, num_together(batch_size), prefill)


class GRU(RecurrentNetwork):
    """Gated recurrent units; see `RecurrentNetwork`.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation", EMNLP 2014, equations 5 to 8. Deviations: the reset gate multiplies
    `U h + b` and not h, as in torch's kernels; learned first states.
    """

    layer_class = nn.GRU
    run_layer = staticmethod(torch.gru)
    cell_class = GRUCell
