"""PixelCNN's step in compiled code; see `NativeStep`.

As in `masked_steps.py`, a dim of colour c computes the units of colour c alone, in every layer.
Units of later colours hold what they held at an earlier pixel; masked weights are 0, so that they
say nothing. Rows above come from rings of rows, which hold zeros until they are written.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from arbench.networks.native.vectors import compiled, copy, matrix_add, rectify


@compiled
def step(
    weights: tuple[Any, ...],
    state: tuple[NDArray[Any], ...],
    previous: NDArray[Any],
    site: int,
    params: NDArray[Any],
) -> None:
    """See `DimwiseNetwork.step`.

    Args:
        weights: units of every value `(K, E)`; width of the pictures; where the units of each
            colour begin, `(4, colours + 1)`: inside a block, of the stream, before
            the last convolution, of the parameters; then, of the first convolution its bias, for
            every pixel or for all, own row and rows above, of all blocks the three convolutions,
            and the last two. A matrix is `(outputs, columns times inputs)`.
        state: rows of values `(n, above + 1, padded width, I)`, rows inside the blocks
            `(n, blocks, 2, W + 2, h)`, the stream `(n, 2 h)`, what the blocks' first and last
            convolutions read, `(n, blocks, 2 h)` and `(n, blocks, h)`, and the same of the last
            two, `(n, 2 h)` and `(n, outputs)`.
        previous: `(n,)`.
        site: t.
        params: `(n, P)`.
    """
    units, width, starts, first, blocks, before_last, last = weights
    rows, inside, streams, wide, narrow, features, outputs = state
    num_colours = starts.shape[1] - 1
    colour, pixel = site % num_colours, site // num_colours
    row, column = pixel // width, pixel % width
    for event in range(len(previous)):
        if site > 0:
            told = (site - 1) % num_colours
            place = (site - 1) // num_colours
            _take(rows[event], units[previous[event]], place, width, told)
        low, high = starts[1, colour], starts[1, colour + 1]
        stream = streams[event, low:high]
        _first(stream, first, rows[event], row, column, pixel, low, high)
        for block in range(len(blocks[0])):
            _block(
                stream,
                blocks,
                block,
                (inside[event, block], wide[event, block], narrow[event, block]),
                (row, column),
                (starts[0, colour], starts[0, colour + 1], low, high),
            )
        rectify(stream, features[event, low:high])
        low, high = starts[2, colour], starts[2, colour + 1]
        own = outputs[event, low:high]
        copy(before_last[1][low:high], own)
        matrix_add(own, before_last[0][low:high], features[event])
        rectify(own, own)
        low, high = starts[3, colour], starts[3, colour + 1]
        copy(last[1][low:high], params[event])
        matrix_add(params[event], last[0][low:high], outputs[event])


@compiled
def _take(rows: NDArray[Any], units: NDArray[Any], pixel: int, width: int, colour: int) -> None:
    """Keep the units of a value."""
    reach = (rows.shape[1] - width) // 2
    slot = rows[pixel // width % len(rows), reach + pixel % width]
    for unit in range(len(units)):
        slot[colour * len(units) + unit] = units[unit]


@compiled
def _first(
    out: NDArray[Any],
    weights: tuple[Any, ...],
    rows: NDArray[Any],
    row: int,
    column: int,
    pixel: int,
    low: int,
    high: int,
) -> None:
    """Write the outputs from low to high of the first convolution."""
    bias, own, above = weights
    num_rows, num_inputs = len(rows), rows.shape[2]
    num_own, num_above = own.shape[1] // num_inputs, above.shape[2] // num_inputs
    copy(bias[pixel if len(bias) > 1 else 0, low:high], out)
    window = rows[row % num_rows, column : column + num_own]
    matrix_add(out, own[low:high], window.reshape(own.shape[1]))
    for index in range(num_rows - 1):
        # The topmost row comes first.
        window = rows[(row + 1 + index) % num_rows, column : column + num_above]
        matrix_add(out, above[index, low:high], window.reshape(above.shape[2]))


@compiled
def _block(
    stream: NDArray[Any],
    weights: tuple[Any, ...],
    block: int,
    state: tuple[NDArray[Any], ...],
    place: tuple[int, int],
    bounds: tuple[int, int, int, int],
) -> None:
    """Add to the stream what a block makes of it; units of a colour, the narrow ones first."""
    reduce, reduce_bias, own, above, spread_bias, expand, expand_bias = weights
    inside, wide, narrow = state
    row, column = place
    low, high, wide_low, wide_high = bounds
    rectify(stream, wide[wide_low:wide_high])
    slot = inside[row % 2, column + 1, low:high]
    copy(reduce_bias[block, low:high], slot)
    matrix_add(slot, reduce[block, low:high], wide)
    rectify(slot, slot)
    hidden = narrow[low:high]
    copy(spread_bias[block, low:high], hidden)
    window = inside[row % 2, column : column + 2]
    matrix_add(hidden, own[block, low:high], window.reshape(own.shape[2]))
    window = inside[(row + 1) % 2, column : column + 3]
    matrix_add(hidden, above[block, low:high], window.reshape(above.shape[2]))
    rectify(hidden, hidden)
    for unit in range(len(stream)):
        stream[unit] += expand_bias[block, wide_low + unit]
    matrix_add(stream, expand[block, wide_low:wide_high], narrow)
