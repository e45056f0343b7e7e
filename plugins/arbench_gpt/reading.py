"""GPT's blocks over many sites at once, as compiled loops. Importing this imports Numba.

An event goes through all blocks by itself, `LANES` sites at a time, which lie side by side in
memory. A panel `(H, LANES)` of the stream, of queries or of hidden units stays in the nearest
caches from one map to the next; norms, turns and softmaxes need no sum within a vector. What an
event gets depends neither on the batch nor on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from arbench.networks.native import kept_on_disk, num_threads
from arbench.networks.native.functions import near_exp, near_gelu, near_sigmoid
from arbench.networks.native.tiles import LANES, moved, write_products
from arbench.networks.native.vectors import compiled, compiled_once
from arbench_gpt.native import NORM_EPSILON

Array = NDArray[Any]
Map = tuple[Tensor, Tensor]  # of all blocks: weights, and biases `(L, outputs)`


@compiled_once
def _apply(
    matrix: Array, layer: int, first: int, num_rows: int, read: Any, out: Any, start: Any
) -> None:
    """Write some rows of a block's matrix times a panel.

    Args:
        matrix: `(L, I, J)`, or what `in_panels` makes of it.
        layer: the block.
        first: the first row, a multiple of `LANES` if the matrix is in panels.
        num_rows: how many, likewise.
        read: the panel `(J, LANES)`: an array, where it begins, and `LANES`.
        out: what is written.
        start: what is added to.
    """
    lowest, num_steps = matrix.dtype.type(-np.inf), matrix.shape[2]
    if matrix.ndim == 3:
        rows = (matrix, (layer * matrix.shape[1] + first) * num_steps, num_steps, 1)
        write_products(num_rows, LANES, num_steps, out, rows, read, start, None, lowest)
    else:
        panel = layer * matrix.shape[1] + first // LANES
        for row in range(0, num_rows, LANES):
            rows = (matrix, (panel + row // LANES) * num_steps * LANES, 1, LANES)
            to, begin = moved(out, row, 0), moved(start, row, 0)
            write_products(LANES, LANES, num_steps, to, rows, read, begin, None, lowest)


@compiled_once
def _normalise(panels: Array, begin: int, out: Array, moments: Array) -> None:
    """A layer norm of each site of a panel, without gain and bias; float64 `(2, LANES)` is room."""
    width, num_lanes = out.shape  # a number that the compiler knows would hide the vectors from it
    for lane in range(num_lanes):
        moments[0, lane] = moments[1, lane] = 0
    for unit in range(width):
        for lane in range(num_lanes):
            moments[0, lane] += panels[begin + unit, lane]
    for lane in range(num_lanes):
        moments[0, lane] /= width
    for unit in range(width):
        for lane in range(num_lanes):
            moments[1, lane] += (panels[begin + unit, lane] - moments[0, lane]) ** 2
    for lane in range(num_lanes):
        moments[1, lane] = 1 / math.sqrt(moments[1, lane] / width + NORM_EPSILON)
    for unit in range(width):
        for lane in range(num_lanes):
            out[unit, lane] = (panels[begin + unit, lane] - moments[0, lane]) * moments[1, lane]


@compiled_once
def _turn(panels: Array, begin: int, turns: tuple[Array, Array], panel: int, width: int) -> None:
    """Turn the queries or keys of a panel: pairs of neighbours are complex numbers."""
    cosines, sines = turns
    num_pairs = cosines.shape[1]
    for first in range(0, width, 2 * num_pairs):
        for pair in range(num_pairs):
            unit = begin + first + 2 * pair
            for lane in range(LANES):
                real, imaginary = panels[unit, lane], panels[unit + 1, lane]
                cosine, sine = cosines[panel, pair, lane], sines[panel, pair, lane]
                panels[unit, lane] = real * cosine - imaginary * sine
                panels[unit + 1, lane] = real * sine + imaginary * cosine


@compiled_once
def _soften(scores: Array, num_panels: int, sums: Array) -> None:
    """Each query's scores as numbers in proportion to their exponentials.

    All loops go through panels of keys as they lie, so that a compiler sees long vectors.

    Args:
        scores: `(panels, LANES^2)`: at a key, the scores of each query lie side by side.
        num_panels: how many of them are asked for.
        sums: room for `(LANES^2,)`; the first `LANES` are by what to multiply later.
    """
    for i in range(LANES * LANES):
        sums[i] = scores[0, i]
    for panel in range(1, num_panels):
        for i in range(LANES * LANES):
            sums[i] = max(sums[i], scores[panel, i])
    for lane in range(LANES):
        most = sums[lane]
        for key in range(1, LANES):
            most = max(most, sums[key * LANES + lane])
        for key in range(LANES):
            sums[key * LANES + lane] = most
    for panel in range(num_panels):
        for i in range(LANES * LANES):
            scores[panel, i] = near_exp(scores[panel, i] - sums[i])
    for i in range(LANES * LANES):
        sums[i] = 0
    for panel in range(num_panels):
        for i in range(LANES * LANES):
            sums[i] += scores[panel, i]
    for lane in range(LANES):
        total = 0.0
        for key in range(LANES):
            total += sums[key * LANES + lane]
        sums[lane] = 1 / total


@compiled_once
def _attend(
    panel: int,
    num_heads: int,
    asked: Array,
    keys: Array,
    values: Array,
    scores: Array,
    sums: Array,
    heard: Array,
) -> None:
    """Mix the values of each head by the queries of a panel, of sites up to their own.

    Args:
        panel: of the queries.
        num_heads: A.
        asked: `(H, LANES)`, queries.
        keys: `(panels H, LANES)`.
        values: `(H, sites)`.
        scores: see `_soften`.
        sums: see `_soften`.
        heard: `(H, LANES)`, written.
    """
    width, lowest = len(asked), asked.dtype.type(-np.inf)
    num_units, num_keys = width // num_heads, (panel + 1) * LANES
    for head in range(num_heads):
        low = head * num_units
        read = (asked, low * LANES, LANES)
        for other in range(panel + 1):
            rows = (keys, (other * width + low) * LANES, 1, LANES)
            to = (scores, other * LANES * LANES, LANES)
            write_products(LANES, LANES, num_units, to, rows, read, None, None, lowest)
        for later in range(1, LANES):
            for lane in range(later):
                scores[panel, later * LANES + lane] = lowest
        _soften(scores, panel + 1, sums)
        rows = (values, low * values.shape[1], values.shape[1], 1)
        to, read = (heard, low * LANES, LANES), (scores, 0, LANES)
        write_products(num_units, LANES, num_keys, to, rows, read, None, None, lowest)
        for unit in range(low, low + num_units):
            for lane in range(LANES):
                heard[unit, lane] *= sums[lane]


@compiled
def _activate(hidden: Array, num_hidden: int) -> None:
    """The perceptron's units, gated by those before them if there are twice as many.

    Args:
        hidden: `(F LANES,)` or `(2 F LANES,)`.
        num_hidden: F.
    """
    units = hidden[: num_hidden * LANES]
    if len(hidden) == len(units):
        for i in range(len(units)):
            units[i] = near_gelu(units[i])
    else:
        gated = hidden[num_hidden * LANES :]
        for i in range(len(units)):
            units[i] *= near_sigmoid(units[i]) * gated[i]


@compiled_once
def _tell(
    panel: int,
    layer: int,
    qkv: Array,
    biases: Array,
    turns: tuple[Array, Array],
    normed: Array,
    keys: Array,
    values: Array,
) -> None:
    """Write the keys and values of a panel; see `_read` and `_attend`."""
    width = len(normed)
    bias, read = (biases, layer * 3 * width * LANES, LANES), (normed, 0, LANES)
    to = (keys, panel * width * LANES, LANES)
    _apply(qkv, layer, width, width, read, to, moved(bias, width, 0))
    to = (values, panel * LANES, values.shape[1])
    _apply(qkv, layer, 2 * width, width, read, to, moved(bias, 2 * width, 0))
    if len(turns[0]):
        _turn(keys, panel * width, turns, panel, width)


@compiled_once
def _add_product(
    panels: Array, panel: int, matrix: Array, biases: Array, layer: int, read: Array
) -> None:
    """Add a block's matrix times what is read, and its bias, to a panel of the stream."""
    width = biases.shape[1]
    begin = panel * width
    for unit in range(width):
        for lane in range(LANES):
            panels[begin + unit, lane] += biases[layer, unit, lane]
    stream = (panels, begin * LANES, LANES)
    _apply(matrix, layer, 0, width, (read, 0, LANES), stream, stream)


@compiled
def _take(events: Array, event: int, panels: Array) -> None:
    """Put an event's vectors `(T, H)` into panels; what is beyond its end stays."""
    width = events.shape[2]
    for site in range(events.shape[1]):
        begin, lane = site // LANES * width, site % LANES
        for unit in range(width):
            panels[begin + unit, lane] = events[event, site, unit]


@compiled
def _give(panels: Array, first: int, out: Array, event: int) -> None:
    """The reverse, of sites from the first on."""
    width = out.shape[2]
    for site in range(out.shape[1]):
        begin, lane = (first + site) // LANES * width, (first + site) % LANES
        for unit in range(width):
            out[event, site, unit] = panels[begin + unit, lane]


@compiled
def _keep(
    keys: Array, values: Array, num_sites: int, event: int, layer: int, kept: tuple[Array, Array]
) -> None:
    """Write a block's keys and values of an event where `_read` is asked to."""
    own_keys, own_values = kept
    num_heads, num_units = own_keys.shape[2], own_keys.shape[4]
    for site in range(num_sites):
        begin, lane = site // LANES * len(values), site % LANES
        for head in range(num_heads):
            for unit in range(num_units):
                row = head * num_units + unit
                own_keys[event, layer, head, site, unit] = keys[begin + row, lane]
                own_values[event, layer, head, site, unit] = values[row, site]


@kept_on_disk
def _read(
    events: Array,
    turns: tuple[Array, Array],
    maps: tuple[Any, ...],
    biases: tuple[Array, Array, Array, Array],
    first: int,
    num_heads: int,
    kept: tuple[Array, Array],
    out: Array,
) -> None:
    """Take events through all blocks.

    Args:
        events: `(B, T, H)`, what enters the first block.
        turns: cosines and sines `(panels, D / 2, LANES)`, or none of them.
        maps: matrices of all blocks, with norms folded in, as `native.step` has them.
        biases: `(L, outputs, LANES)`, a number for each site of a panel.
        first: of the sites of which the stream is wanted behind the last block.
        num_heads: A.
        kept: written: keys and values `(B, L, A, T or more, D)`, or of no event.
        out: written: `(B, T - first, H)`, or of no event.
    """
    num_events, num_sites, width = events.shape
    qkv, mix, up, down = maps
    num_panels, num_layers = (num_sites + LANES - 1) // LANES, len(qkv)
    dtype = events.dtype
    panels = np.zeros((num_panels * width, LANES), dtype)
    keys = np.zeros((num_panels * width, LANES), dtype)
    # One panel more, so that rows do not all begin in the same lines of a cache.
    values = np.zeros((width, (num_panels + 1) * LANES), dtype)
    scores, sums = np.empty((num_panels, LANES * LANES), dtype), np.empty(LANES * LANES, dtype)
    normed, asked = np.empty((width, LANES), dtype), np.empty((width, LANES), dtype)
    heard, moments = np.empty((width, LANES), dtype), np.empty((2, LANES), np.float64)
    hidden = np.empty((1, biases[2].shape[1] * LANES), dtype)
    for event in range(num_events):
        _take(events, event, panels)
        for layer in range(num_layers):
            is_last = layer == num_layers - 1
            for panel in range(num_panels):
                _normalise(panels, panel * width, normed, moments)
                _tell(panel, layer, qkv, biases[0], turns, normed, keys, values)
                if is_last and (len(out) == 0 or (panel + 1) * LANES <= first):
                    continue
                bias = (biases[0], layer * 3 * width * LANES, LANES)
                _apply(qkv, layer, 0, width, (normed, 0, LANES), (asked, 0, LANES), bias)
                if len(turns[0]):
                    _turn(asked, 0, turns, panel, width)
                _attend(panel, num_heads, asked, keys, values, scores, sums, heard)
                _add_product(panels, panel, mix, biases[1], layer, heard)
                _normalise(panels, panel * width, normed, moments)
                bias, to = (biases[2], layer * hidden.size, LANES), (hidden, 0, LANES)
                _apply(up, layer, 0, biases[2].shape[1], (normed, 0, LANES), to, bias)
                _activate(hidden[0], down.shape[2])
                _add_product(panels, panel, down, biases[3], layer, hidden)
            if len(kept[0]):
                _keep(keys, values, num_sites, event, layer, kept)
        if len(out):
            _give(panels, first, out, event)


def read_events(
    vectors: Tensor,
    turns: Sequence[Tensor],
    maps: Sequence[Map],
    num_heads: int,
    *,
    first: int = 0,
    kept: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The residual stream `(B, T - first, H)` behind all blocks; with `kept`, of no event.

    Args:
        vectors: `(B, T, H)`, what enters the first block, on the CPU, float32 or float64.
        turns: cosines and sines `(T or more, D / 2)`, or none.
        maps: to queries, keys and values, from what is attended to, to the perceptron and from it,
            as `native_weights` gives them.
        num_heads: A.
        first: of the sites that are wanted.
        kept: keys and values `(B, L, A, T or more, D)`, to be written.
    """
    num_events, num_sites, width = vectors.shape
    num_panels = -(-num_sites // LANES)
    nothing = vectors.new_empty(0, 1, 1, 1, width // num_heads)
    out = vectors.new_empty(0 if kept else num_events, num_sites - first, width)
    tables = tuple(_in_lanes(own[:num_sites], num_panels) for own in turns)
    tables = tables or (vectors.new_empty(0, 1, LANES),) * 2
    matrices = _arrays([matrix for matrix, _ in maps])
    biases = _arrays([bias[..., None].expand(-1, -1, LANES) for _, bias in maps])

    def work(begin: int, end: int) -> None:
        own = _arrays([pair[begin:end] for pair in kept or (nothing, nothing)])
        events, wanted = vectors[begin:end], out[begin:end]
        _read(events, _arrays(tables), matrices, biases, first, num_heads, own, wanted)

    share = -(-num_events // min(num_threads(), max(num_events, 1)))
    begins = range(0, num_events, share)
    if len(begins) == 1:
        work(0, num_events)
    else:
        with ThreadPoolExecutor(max(len(begins), 1)) as pool:
            list(pool.map(work, begins, [begin + share for begin in begins]))
    return out


def _in_lanes(turns: Tensor, num_panels: int) -> Tensor:
    """`(T, D / 2)` as `(panels, D / 2, LANES)`, zeros beyond the end."""
    padded = turns.new_zeros(num_panels * LANES, turns.shape[1])
    padded[: len(turns)] = turns
    return padded.view(num_panels, LANES, -1).transpose(1, 2)


def _arrays(tensors: Iterable[Tensor]) -> tuple[Array, ...]:
    return tuple(own.detach().contiguous().numpy() for own in tensors)
