"""WaveNet's step in compiled code; see `NativeStep`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from arbench.networks.native.functions import sigmoid, tanh
from arbench.networks.native.vectors import compiled, copy, matrix_add, rectify


@compiled
def step(
    weights: tuple[Any, ...],
    state: tuple[NDArray[Any], ...],
    previous: NDArray[Any],
    site: int,
    params: NDArray[Any],
) -> None:
    """See `WaveNet.step`. A ring per layer keeps its inputs as far back as its kernel reaches.

    Args:
        weights: the first vector `(C,)`, those of values `(K, C)`, and of places `(T, C)` or none;
            dilations `(L,)`; of all layers the gates `(L, 2 C, k C)`, their biases, and from gated
            units to stream and skips `(L, C + S, C)`; the last two layers with biases.
        state: rings of all layers, one behind the other, `(n, sum of reaches, C)`; room for what
            the gates read `(n, k, C)`, for the gates `(n, 2 C)`, for the stream and the sum of
            skips `(n, C + S)`, and for what the last layer reads, `(n, S)`.
        previous: `(n,)`.
        site: t.
        params: `(n, P)`.
    """
    start, values, places, dilations, gates, gate_biases, mix, hidden, hidden_bias, out, bias = (
        weights
    )
    rings, taps, pre, running, last = state
    num_taps, channels = taps.shape[1], taps.shape[2]
    for event in range(len(previous)):
        stream, skips = running[event, :channels], running[event, channels:]
        for unit in range(len(skips)):
            skips[unit] = 0
        for unit in range(channels):
            stream[unit] = start[unit] if site == 0 else values[previous[event], unit]
            if len(places):
                stream[unit] += places[site, unit]
        first = 0
        for layer in range(len(dilations)):
            reach = (num_taps - 1) * dilations[layer]
            read = taps[event]
            copy(stream, read[0])
            for tap in range(1, num_taps):
                # A ring is as long as its kernel reaches, so the oldest input lies where the new
                # one goes; before the first site it holds zeros.
                oldest = rings[event, first + (site - tap * dilations[layer]) % reach]
                copy(oldest, read[tap])
            copy(stream, rings[event, first + site % reach])
            own = pre[event]
            copy(gate_biases[layer], own)
            matrix_add(own, gates[layer], read.reshape(num_taps * channels))
            for unit in range(channels):
                own[unit] = tanh(own[unit]) * sigmoid(own[channels + unit])
            matrix_add(running[event], mix[layer], own[:channels])
            first += reach
        rectify(skips, skips)
        copy(hidden_bias, last[event])
        matrix_add(last[event], hidden, skips)
        rectify(last[event], last[event])
        copy(bias, params[event])
        matrix_add(params[event], out, last[event])
