"""GPT's step in compiled code; see `NativeStep`."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from arbench.networks.native.functions import exp, gelu, sigmoid
from arbench.networks.native.tiles import products_add
from arbench.networks.native.vectors import (
    add,
    compiled,
    copy,
    matrix_add,
    rows_add,
)

NORM_EPSILON = 1e-5  # as in torch


@compiled
def step(
    weights: tuple[Any, ...],
    state: tuple[NDArray[Any], ...],
    previous: NDArray[Any],
    site: int,
    params: NDArray[Any],
) -> None:
    """See `GPT.step`; L blocks, A heads of D units, F units in a perceptron.

    Args:
        weights: the first vector `(H,)`, those of values `(K, H)`, and of places `(T, H)` or none;
            cosines and sines `(T, D / 2)`, or none; of all blocks, with norms folded in, the maps
            to queries, keys and values `(L, 3 H, H)`, from what is attended to `(L, H, H)`, to the
            perceptron `(L, F, H)`, or `(L, 2 F, H)` if it is gated, and from it `(L, H, F)`, each
            with its biases `(L, outputs)`, for several events in panels; the last map and its bias.
        state: keys and values `(n, L, A, T, D)`; room for the stream and its norm `(n, H)`, for
            queries, keys and values of a site `(n, 3 H)`, for what is attended to `(n, H)`, for the
            perceptron, and for scores `(n, T)`.
        previous: `(n,)`.
        site: t.
        params: `(n, P)`.
    """
    start, rows, places, turns, qkv, mix, up, down, readout = weights
    keys, values, streams, normed, asked, heard, hidden, scores = state
    num_hidden = down[0].shape[2]
    for event in range(len(previous)):
        copy(start if site == 0 else rows[previous[event]], streams[event])
        if len(places):
            add(streams[event], places[site])
    for layer in range(len(qkv[0])):
        for event in range(len(previous)):
            _normalise(streams[event], normed[event])
            copy(qkv[1][layer], asked[event])
        products_add(asked, qkv[0][layer], normed)
        for event in range(len(previous)):
            if len(turns[0]):
                _turn(asked[event], turns[0][site], turns[1][site], 2 * keys.shape[2])
            kept = keys[event, layer], values[event, layer]
            _attend(asked[event], kept[0], kept[1], site, scores[event], heard[event])
            add(streams[event], mix[1][layer])
        products_add(streams, mix[0][layer], heard)
        for event in range(len(previous)):
            _normalise(streams[event], normed[event])
            copy(up[1][layer], hidden[event])
        products_add(hidden, up[0][layer], normed)
        for event in range(len(previous)):
            own = hidden[event]
            if len(own) > num_hidden:
                for unit in range(num_hidden):
                    own[unit] = own[unit] * sigmoid(own[unit]) * own[num_hidden + unit]
            else:
                for unit in range(num_hidden):
                    own[unit] = gelu(own[unit])
            add(streams[event], down[1][layer])
        products_add(streams, down[0][layer], hidden)
    for event in range(len(previous)):
        _normalise(streams[event], normed[event])
        copy(readout[1], params[event])
    products_add(params, readout[0], normed)


@compiled
def _normalise(vector: NDArray[Any], out: NDArray[Any]) -> None:
    """A layer norm without gain and bias."""
    mean = 0.0
    for unit in range(len(vector)):
        mean += vector[unit]
    mean /= len(vector)
    variance = 0.0
    for unit in range(len(vector)):
        variance += (vector[unit] - mean) ** 2
    scale = 1 / math.sqrt(variance / len(vector) + NORM_EPSILON)
    for unit in range(len(vector)):
        out[unit] = (vector[unit] - mean) * scale


@compiled
def _turn(asked: NDArray[Any], cosines: NDArray[Any], sines: NDArray[Any], num_turned: int) -> None:
    """Turn the queries and keys of a site: pairs of neighbours are complex numbers."""
    for head in range(num_turned):
        for pair in range(len(cosines)):
            unit = 2 * (head * len(cosines) + pair)
            real, imaginary = asked[unit], asked[unit + 1]
            asked[unit] = real * cosines[pair] - imaginary * sines[pair]
            asked[unit + 1] = real * sines[pair] + imaginary * cosines[pair]


@compiled
def _attend(
    asked: NDArray[Any],
    keys: NDArray[Any],
    values: NDArray[Any],
    site: int,
    scores: NDArray[Any],
    heard: NDArray[Any],
) -> None:
    """Keep a site's keys and values, and mix the values so far of each head by its query.

    Args:
        asked: `(3 H,)`: queries, keys and values of the site.
        keys: `(A, T, D)`.
        values: likewise.
        site: t.
        scores: `(T,)`, room.
        heard: `(H,)`, written.
    """
    num_heads, num_units = keys.shape[0], keys.shape[2]
    width = num_heads * num_units
    for head in range(num_heads):
        low = head * num_units
        copy(asked[width + low :], keys[head, site])
        copy(asked[2 * width + low :], values[head, site])
        known = scores[: site + 1]
        for before in range(site + 1):
            known[before] = 0
        matrix_add(known, keys[head], asked[low : low + num_units])
        most = known[0]
        for before in range(1, site + 1):
            most = max(most, known[before])
        total = 0.0
        for before in range(site + 1):
            known[before] = exp(known[before] - most)
            total += known[before]
        for before in range(site + 1):
            known[before] /= total
        mixed = heard[low : low + num_units]
        for unit in range(num_units):
            mixed[unit] = 0
        rows_add(mixed, values[head], known)
