"""MADE's step in compiled code; see `NativeStep`.

Weights are read where they are: to put them in order of degree costs more than an event. What is
not known yet holds zeros, so whole rows may be read, and the masks need not be applied.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbench.networks.native.vectors import compiled, dot


@compiled
def step(
    weights: tuple[Any, ...],
    state: tuple[NDArray[Any], ...],
    previous: NDArray[Any],
    site: int,
    params: NDArray[Any],
) -> None:
    """See `MADE.step`; units are in the order of the weights.

    Args:
        weights: matrices of the hidden layers, one behind the other, and of the last; their
            biases; the direct one, with no rows if there is none; per hidden layer the units in
            order of degree, and `(T + 1,)` how many have a lower one; the order `(T,)`; whether it
            is the raster scan; and the number of the activation.
        state: the inputs `(n, T I)`, then the units of every hidden layer.
        previous: `(n,)`.
        site: t.
        params: `(n, P)`.
    """
    matrices, biases, last, last_bias, direct, units, starts, order, is_raster, activation = weights
    inputs = state[0]
    num_inputs, num_params = inputs.shape[1] // len(order), params.shape[1]
    if site > 0:
        first = order[site - 1] * num_inputs
        for event in range(len(inputs)):
            if num_inputs == 1:
                inputs[event, first] = previous[event]
            else:
                inputs[event, first + previous[event]] = 1
    known = site * num_inputs if is_raster else inputs.shape[1]
    for layer in range(len(matrices)):
        matrix, bias, below = matrices[layer], biases[layer], state[layer]
        num_read = known if layer == 0 else below.shape[1]
        for place in range(starts[layer][site], starts[layer][site + 1]):
            unit = units[layer][place]
            row = matrix[unit, :num_read]
            for event in range(len(inputs)):
                total = bias[unit] + dot(row, below[event, :num_read])
                state[layer + 1][event, unit] = _activated(total, activation)
    below = state[len(matrices)]
    for number in range(num_params):
        unit = order[site] * num_params + number
        for event in range(len(inputs)):
            total = last_bias[unit] + dot(last[unit], below[event])
            if len(direct):
                total += dot(direct[unit, :known], inputs[event, :known])
            params[event, number] = total


@compiled
def _activated(x: Any, activation: int) -> Any:
    """`MADE`'s activations, by their place in its table."""
    if activation == 0:
        return max(x, type(x)(0))
    if activation == 1:
        return max(x, type(x)(0)) + np.log1p(np.exp(-abs(x)))
    return np.tanh(x)
