"""PixelCNN's residual blocks as compiled loops, both ways. Importing this imports Numba.

A convolution of few units spends its time on memory, on zeros that a mask put there, and on the
rectifiers in between. Here a picture goes through all blocks by itself, a row of pixels at a time,
so that what it reads lies in the nearest caches; masked taps are left out; sums begin with biases
and end with rectifiers.

Rows of pixels `(W, I)` are written one after the other, units fastest. A picture that a 3x3
convolution reads has `GAP` more pixels at the end of each row, and rows above, all of zeros: a tap
beside the picture, or above it, reads those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from arbench.networks.dropout import unit_dropout
from arbench.networks.masked import MaskedConv
from arbench.networks.native import kept_on_disk
from arbench.networks.native.tiles import FEW_LANES, write_products
from arbench_pixelcnn.blocks import ResidualBlock

Array = NDArray[Any]
GAP = 1
Kept = tuple[Array, Array, Array]
# Pictures that go one after the other. Their gradients add up by themselves, so sums are the same
# however many threads there are.
SHARE = 4
_compiled = numba.njit(nogil=True, error_model="numpy", forceinline=True)
_entry = kept_on_disk


@_compiled
def _rectify(rows: Array, row: int, out: Array, to: int) -> None:
    """`out_to = max(rows_row, 0)`."""
    zero = rows.dtype.type(0)
    for i in range(out.shape[1]):
        value = rows[row, i]
        out[to, i] = zero if value < zero else value


@_compiled
def _copy(rows: Array, row: int, out: Array, to: int, count: int) -> None:
    for i in range(count):
        out[to, i] = rows[row, i]


@_compiled
def _add(rows: Array, row: int, out: Array, to: int, count: int) -> None:
    for i in range(count):
        out[to, i] += rows[row, i]


@_compiled
def _drop(is_kept: Array, row: int, scale: Any, out: Array, to: int) -> None:
    zero = out.dtype.type(0)
    for i in range(is_kept.shape[1]):
        out[to, i] = scale * out[to, i] if is_kept[row, i] else zero


@_compiled
def _take_taps(
    width: int,
    units: int,
    out: Any,
    rows: Array,
    above: int,
    own: int,
    taps: Array,
    first: int,
    start: Any,
    floor: Any,
) -> None:
    """Write the products of three pixels that lie side by side, and of two more, to a row."""
    lowest = rows.dtype.type(-np.inf)
    by_above, by_own = (taps, first, units), (taps, first + 3 * units * units, units)
    read_above, read_own = (rows, above, units, 1), (rows, own, units, 1)
    write_products(width, units, 3 * units, out, read_above, by_above, start, None, lowest)
    write_products(width, units, 2 * units, out, read_own, by_own, out, None, floor)


@_compiled
def _add_pairs(
    width: int, shape: tuple[int, int], out: Array, first: int, left: Any, right: Any
) -> None:
    """Add to weights `(I, O)` the products of units I and O at all pixels of a row.

    Args:
        width: how many pixels.
        shape: (I, O).
        out: weights, among others.
        first: where they begin.
        left: an array, where the row of units I begins, and how many a pixel has.
        right: likewise of units O.
    """
    to = (out, first, shape[1])
    by = (left[0], left[1], 1, left[2])
    lowest = out.dtype.type(-np.inf)
    write_products(shape[0], shape[1], width, to, by, right, to, None, lowest)


@_compiled
def _keep(
    kept: Kept, place: int, rectified: Array, reduced: Array, row: int, hidden: Array
) -> None:
    _copy(rectified, 0, kept[0], place, rectified.shape[1])
    _copy(reduced, row, kept[1], place, hidden.shape[1])
    _copy(hidden, 0, kept[2], place, hidden.shape[1])


@_entry
def _forward(
    x: Array,
    weights: tuple[Array, Array, Array, Array, Array, Array],
    drops: Array,
    scale: Any,
    kept: Kept,
    height: int,
) -> None:
    """Take pictures through all blocks, in place.

    Args:
        x: `(B H, W C)`.
        weights: of the N blocks: `(N, C, h)` to reduce and a bias `(N, h)`; `(N, 5 h, h)` to
            spread, the three taps above from the left, then the two of the own row, and a bias
            `(N, h)`; `(N, h, C)` to expand, and a bias `(N, W C)`, the same for each pixel.
        drops: `(B N H, W h)` bool, which hidden units stay; no rows if all do.
        scale: what those that stay are multiplied by.
        kept: what the way back needs: what each block reads, rectified, `(B N H, W C)`, and its
            hidden units after both rectifiers, `(B N H, W h)`; no rows if there is none.
        height: H.
    """
    reduce, reduce_bias, spread, spread_bias, expand, expand_bias = weights
    num_blocks, wide, narrow = reduce.shape
    width, zero, lowest = x.shape[1] // wide, x.dtype.type(0), x.dtype.type(-np.inf)
    stride = (width + GAP) * narrow
    rectified, hidden = np.empty((1, width * wide), x.dtype), np.empty((1, width * narrow), x.dtype)
    reduced = np.zeros((height + 2, stride), x.dtype)
    to_hidden = (hidden, 0, narrow)
    for first in range(0, len(x), height):
        for block in range(num_blocks):
            matrix, taps = block * wide * narrow, block * 5 * narrow * narrow
            bias, later = (reduce_bias, block * narrow, 0), (spread_bias, block * narrow, 0)
            for row in range(height):
                at, own = (row + 2) * stride, (first + row) * width * wide
                _rectify(x, first + row, rectified, 0)
                _add(expand_bias, block, x, first + row, width * wide)
                read, by = (rectified, 0, wide, 1), (reduce, matrix, narrow)
                to = (reduced, at, narrow)
                write_products(width, narrow, wide, to, read, by, bias, None, zero)
                above, beside = at - stride - narrow, at - narrow
                _take_taps(
                    width, narrow, to_hidden, reduced, above, beside, spread, taps, later, zero
                )
                place = (first // height * num_blocks + block) * height + row
                if len(drops):
                    _drop(drops, place, scale, hidden, 0)
                if len(kept[0]):
                    _keep(kept, place, rectified, reduced, row + 2, hidden)
                to, read = (x, own, wide), (hidden, 0, narrow, 1)
                by = (expand, matrix, wide)
                write_products(width, wide, narrow, to, read, by, to, None, lowest)


@_compiled
def _back_to_hidden(
    grad: Array,
    first: int,
    block: int,
    expand: Array,
    kept: Kept,
    scale: Any,
    grads: Any,
    hidden: Array,
    reduced: Array,
) -> None:
    """From the pictures behind a block to its hidden units, before their rectifier.

    Args:
        grad: see `_backward`.
        first: the picture's first row.
        block: which one.
        expand: see `_backward`.
        kept: see `_forward`.
        scale: see `_backward`.
        grads: see `_backward`.
        hidden: `(H + 1, (W + GAP) h)`, written, but for its last row.
        reduced: `(H + 2, (W + GAP) h)`, of which the last H rows get the units kept.
    """
    _, wide, narrow = expand.shape
    height, width, lowest = len(hidden) - 1, grad.shape[1] // wide, grad.dtype.type(-np.inf)
    place = (first // height * len(expand) + block) * height
    for row in range(height):
        own, at = (first + row) * width * wide, (place + row) * width * narrow
        _copy(kept[1], place + row, reduced, row + 2, width * narrow)
        to, read = (hidden, row * hidden.shape[1], narrow), (grad, own, wide, 1)
        by, is_open = (expand, block * wide * narrow, narrow), (kept[2], at, narrow)
        write_products(width, narrow, wide, to, read, by, None, is_open, lowest)
        if scale != 1:
            for i in range(width * narrow):
                hidden[row, i] *= scale
        _add(hidden, row, grads[3], block, width * narrow)
        _add(grad, first + row, grads[5], block, width * wide)
        left, right = (kept[2], at, narrow), (grad, own, wide)
        _add_pairs(width, (narrow, wide), grads[4], block * narrow * wide, left, right)


@_entry
def _backward(
    grad: Array,
    weights: tuple[Array, Array, Array],
    kept: Kept,
    scale: Any,
    grads: tuple[Array, Array, Array, Array, Array, Array],
    height: int,
) -> None:
    """Take the gradient of pictures back through all blocks, in place, and add those of weights.

    Args:
        grad: `(B H, W C)`.
        weights: all turned over, `(N, h, C)` to reduce; `(N, 5 h, h)` to spread, the three taps
            above from the right, then the two of the own row from the right; `(N, C, h)` to expand.
        kept: see `_forward`.
        scale: what those hidden units were multiplied by that dropout kept.
        grads: of `_forward`'s weights; of the biases they are `(N, W h)` and `(N, W C)`.
        height: H.
    """
    reduce, spread, expand = weights
    num_blocks, narrow, wide = reduce.shape
    width, lowest = grad.shape[1] // wide, grad.dtype.type(-np.inf)
    stride, square = (width + GAP) * narrow, narrow * narrow
    reduced = np.zeros((height + 2, stride), grad.dtype)
    hidden = np.zeros((height + 1, stride), grad.dtype)
    own_grad = np.empty((1, width * narrow), grad.dtype)
    to = (own_grad, 0, narrow)
    for first in range(0, len(grad), height):
        for block in range(num_blocks - 1, -1, -1):
            _back_to_hidden(grad, first, block, expand, kept, scale, grads, hidden, reduced)
            matrix, taps = block * narrow * wide, block * 5 * square
            for row in range(height):
                at = row * stride
                below, beside = at + stride - narrow, at
                _take_taps(width, narrow, to, hidden, below, beside, spread, taps, None, lowest)
                for i in range(width * narrow):
                    if reduced[row + 2, i] <= 0:
                        own_grad[0, i] = 0
                _add(own_grad, 0, grads[1], block, width * narrow)
                own = (hidden, at, narrow)
                above, beside = at + stride - narrow, at + 2 * stride - narrow
                read = (reduced, above, narrow)
                _add_pairs(width, (3 * narrow, narrow), grads[2], taps, read, own)
                read = (reduced, beside, narrow)
                _add_pairs(width, (2 * narrow, narrow), grads[2], taps + 3 * square, read, own)
                place = (first // height * num_blocks + block) * height + row
                is_open = (kept[0], place * width * wide, wide)
                _add_pairs(width, (wide, narrow), grads[0], matrix, is_open, to)
                by, back = (reduce, matrix, wide), (grad, (first + row) * width * wide, wide)
                read_own = (own_grad, 0, narrow, 1)
                write_products(width, wide, narrow, back, read_own, by, back, is_open, lowest)


class _Blocks(torch.autograd.Function):
    """See `blocks_compiled`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, drops: Tensor, scale: float, is_kept: bool, *weights: Tensor
    ) -> Tensor:
        num_pictures, height, width, wide = x.shape
        num_blocks, _, narrow = weights[0].shape
        out = x.clone(memory_format=torch.contiguous_format)
        number = x.new_tensor(scale).numpy()[()]
        *others, last = weights
        weights = (*others, last.repeat(1, width))  # the bias of a row of pixels
        kept: dict[int, list[Tensor]] = {}

        def work(first: int, last: int) -> None:
            rows = (last - first) * num_blocks * height if is_kept else 0
            # Each share its own: large pieces leave gaps in memory that nothing else fits into.
            kept[first] = [x.new_empty(rows, width * n) for n in (wide, narrow, narrow)]
            own = slice(first * num_blocks * height, last * num_blocks * height)
            pictures, parts = out[first:last].view(-1, width * wide), _arrays(kept[first])
            _forward(pictures, _arrays(weights), drops[own], number, parts, height)

        _shared(work, num_pictures)
        shares = [own for first in sorted(kept) for own in kept[first]] if is_kept else []
        ctx.save_for_backward(*weights[:5:2], *shares)
        ctx.scale = scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        reduce, spread, expand, *kept = ctx.saved_tensors
        num_pictures, height, width, wide = grad.shape
        num_blocks, _, narrow = reduce.shape
        out = grad.clone(memory_format=torch.contiguous_format)
        taps = spread.unflatten(1, (5, narrow))[:, [2, 1, 0, 4, 3]].transpose(2, 3).flatten(1, 2)
        turned = (reduce.transpose(1, 2).contiguous(), taps, expand.transpose(1, 2).contiguous())
        scale = grad.new_tensor(ctx.scale).numpy()[()]
        sizes = [own.shape for own in (reduce, spread, expand)]
        bias = (num_blocks, width * narrow)
        shapes = (sizes[0], bias, sizes[1], bias, sizes[2], (num_blocks, width * wide))
        found: dict[int, list[Tensor]] = {}

        def work(first: int, last: int) -> None:
            share = first // SHARE * 3
            found[first] = [grad.new_zeros(shape) for shape in shapes]
            pictures = out[first:last].view(-1, width * wide)
            parts = _arrays(kept[share : share + 3])
            _backward(pictures, _arrays(turned), parts, scale, _arrays(found[first]), height)

        _shared(work, num_pictures)
        shares = [found[first] for first in sorted(found)]
        sums = [torch.stack(own).sum(0) for own in zip(*shares, strict=True)]
        for number, units in ((1, narrow), (3, narrow), (5, wide)):
            sums[number] = sums[number].view(num_blocks, width, units).sum(1)
        return out, None, None, None, *sums


def _arrays(tensors: Any) -> tuple[Array, ...]:
    return tuple(own.detach().numpy() for own in tensors)


def _shared(work: Callable[[int, int], None], num_pictures: int) -> None:
    """Do work on a few pictures at a time, in as many threads as torch has."""
    firsts = range(0, num_pictures, SHARE)
    lasts = [min(first + SHARE, num_pictures) for first in firsts]
    num_threads = min(torch.get_num_threads(), len(firsts))
    if num_threads == 1:
        for first, last in zip(firsts, lasts, strict=True):
            work(first, last)
    else:
        with ThreadPoolExecutor(num_threads) as pool:
            list(pool.map(work, firsts, lasts))


def blocks_compiled(x: Tensor, blocks: Sequence[ResidualBlock]) -> Tensor:
    """`(B, 2 h, H, W)` after all blocks, in channels-last order.

    Args:
        x: `(B, 2 h, H, W)`, on the CPU, float32 or float64.
        blocks: at least one, all alike.
    """
    first = blocks[0]
    wide, narrow = first.reduce.in_channels, first.reduce.out_channels
    more, less = -wide % FEW_LANES, -narrow % FEW_LANES
    reduce = _stacked([block.reduce for block in blocks])[..., 0, 0].transpose(1, 2)
    taps = _stacked([block.spread for block in blocks]).permute(0, 3, 4, 2, 1).flatten(1, 2)[:, :5]
    expand = _stacked([block.expand for block in blocks])[..., 0, 0].transpose(1, 2)
    biases = [
        torch.stack([getattr(block, name).bias for block in blocks])
        for name in ("reduce", "spread", "expand")
    ]
    weights = (
        F.pad(reduce, (0, less, 0, more)),
        F.pad(biases[0], (0, less)),
        F.pad(taps, (0, less, 0, less)).flatten(1, 2),
        F.pad(biases[1], (0, less)),
        F.pad(expand, (0, more, 0, less)),
        F.pad(biases[2], (0, more)),
    )
    pictures = F.pad(x.permute(0, 2, 3, 1), (0, more))
    probability = first.dropout if first.training else 0.0
    drops, scale = _drops(pictures, len(blocks), narrow, less, probability)
    is_kept = torch.is_grad_enabled() and (x.requires_grad or reduce.requires_grad)
    out: Tensor = _Blocks.apply(  # type: ignore[no-untyped-call]
        pictures, drops, scale, is_kept, *(own.contiguous() for own in weights)
    )
    return out[..., :wide].permute(0, 3, 1, 2)


def _stacked(convs: list[MaskedConv]) -> Tensor:
    """Weights of layers that have one mask, `(N, O, I, height, width)`."""
    weights = torch.stack([conv.weight for conv in convs])
    return weights if convs[0].hides_nothing else weights * convs[0].mask


def _drops(
    pictures: Tensor, num_blocks: int, narrow: int, less: int, probability: float
) -> tuple[Tensor, float]:
    """Which hidden units stay, `(B N H, W h)` bool, no rows if all do; and their factor."""
    num_pictures, height, width, _ = pictures.shape
    count, units = num_pictures if probability else 0, narrow + less
    drops = torch.zeros(count, num_blocks, height, width, units, dtype=torch.bool)
    ones, scale = pictures.new_ones(count, height, width, narrow), 0.0
    for block in range(num_blocks if probability else 0):
        drawn = unit_dropout(ones, probability, True)
        drops[:, block, ..., :narrow], scale = drawn > 0, max(scale, float(drawn.max()))
    return drops.view(-1, width * units), scale or 1.0
