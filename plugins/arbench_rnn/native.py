"""LSTM's step in compiled code; see `NativeStep`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from arbench.networks.native.functions import sigmoid, tanh
from arbench.networks.native.tiles import products_add
from arbench.networks.native.vectors import add, compiled, copy


@compiled
def step(
    weights: tuple[Any, ...],
    state: tuple[NDArray[Any], ...],
    previous: NDArray[Any],
    site: int,
    params: NDArray[Any],
) -> None:
    """See `RecurrentNetwork.step`; gates are in torch's order, i, f, g, o.

    Args:
        weights: what the first layer's gates hear, `(4 H,)` at the first site, `(K, 4 H)` of the
            value before, and `(T, 4 H)` of the place, or no rows; first states `(2, L, H)`; the
            first layer's matrix for its own units `(4 H, H)`; of the other layers the matrices for
            the units below and their own, side by side, `(L - 1, 4 H, 2 H)`, for several
            events in panels; their biases `(L - 1, 4 H)`; the last map and its bias.
        state: units and cells of all layers, `(n, L, H)` each, and room for gates, `(n, 4 H)`, and
            for what they hear, `(n, 2 H)`.
        previous: `(n,)`.
        site: t.
        params: `(n, P)`.
    """
    start, rows, places, initial, first, others, biases, readout, readout_bias = weights
    units, cells, gates, heard = state
    num_layers, size = units.shape[1], units.shape[2]
    for layer in range(num_layers):
        for event in range(len(previous)):
            if site == 0:
                copy(initial[0, layer], units[event, layer])
                copy(initial[1, layer], cells[event, layer])
            if layer > 0:
                copy(biases[layer - 1], gates[event])
                copy(units[event, layer - 1], heard[event, :size])
                copy(units[event, layer], heard[event, size:])
            else:
                copy(start if site == 0 else rows[previous[event]], gates[event])
                if len(places):
                    add(gates[event], places[site])
                copy(units[event, layer], heard[event, :size])
        products_add(gates, first if layer == 0 else others[layer - 1], heard)
        for event in range(len(previous)):
            _advance(gates[event], cells[event, layer], units[event, layer])
    for event in range(len(previous)):
        copy(readout_bias, params[event])
        copy(units[event, num_layers - 1], heard[event, :size])
    products_add(params, readout, heard)


@compiled
def _advance(gates: NDArray[Any], cells: NDArray[Any], units: NDArray[Any]) -> None:
    """See `LSTMCell.advance`."""
    size = len(units)
    for unit in range(size):
        added = sigmoid(gates[unit]) * tanh(gates[2 * size + unit])
        cell = sigmoid(gates[size + unit]) * cells[unit] + added
        cells[unit] = cell
        units[unit] = sigmoid(gates[3 * size + unit]) * tanh(cell)
