"""Masked products with inputs that are mostly 0, as compiled loops. Importing this imports Numba.

A one adds a column of the weights, and a zero adds nothing. Units are taken a tile at a time, in
order of degree: their weights are turned over into a table that a cache holds, a row for each input
that one of them reads, and every event adds a few of its rows. The way back adds rows of gradients
into such a table. So weights are read once as they are stored, and their gradient is written once.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from arbench.networks.native import kept_on_disk
from arbench.networks.native.memory import fresh_tensor

Array = NDArray[Any]
# Units of a tile: for a thousand inputs its table fits into L2, and its sums into registers.
TILE = 128
# No "nnan" and "ninf": a training that diverges must be seen to.
_REORDERED = {"reassoc", "contract", "nsz"}
_entry = functools.partial(kept_on_disk, fastmath=_REORDERED)
_compiled = numba.njit(nogil=True, error_model="numpy", fastmath=_REORDERED)
_inlined = numba.njit(nogil=True, error_model="numpy", fastmath=_REORDERED, forceinline=True)


@_compiled
def _told(matrix: Array) -> tuple[Array, Array]:
    """Where each row's entries that are not 0 are: their columns, and where each row's begin."""
    num_rows, num_columns = matrix.shape
    starts, places = np.zeros(num_rows + 1, np.int64), np.empty(matrix.size, np.int64)
    count = 0
    for row in range(num_rows):
        for column in range(num_columns):
            places[count] = column
            count += matrix[row, column] != 0
        starts[row + 1] = count
    return places[:count], starts


@_inlined
def _add_rows(
    sums: Array,
    row: int,
    values: Array,
    own: int,
    told: tuple[Array, Array],
    end: int,
    table: Array,
) -> None:
    """`sums_row += sum_j values_own,j table_j` over the j below `end` that are not 0."""
    places, starts = told
    at, last = starts[own], starts[own + 1]
    while last > at and places[last - 1] >= end:
        last -= 1
    while at + 4 <= last:
        a, b, c, d = places[at], places[at + 1], places[at + 2], places[at + 3]
        of_a, of_b, of_c, of_d = values[own, a], values[own, b], values[own, c], values[own, d]
        for unit in range(TILE):
            sums[row, unit] += (of_a * table[a, unit] + of_b * table[b, unit]) + (
                of_c * table[c, unit] + of_d * table[d, unit]
            )
        at += 4
    while at < last:
        a = places[at]
        of_a = values[own, a]
        for unit in range(TILE):
            sums[row, unit] += of_a * table[a, unit]
        at += 1


@_inlined
def _four(first: int, unit: int, num_units: int) -> tuple[int, int, int, int]:
    """Four neighbours of a tile, the last unit of all repeated where there are no more."""
    last = num_units - 1 - first
    return unit, min(unit + 1, last), min(unit + 2, last), min(unit + 3, last)


@_entry
def _forward(
    term: Array,
    values: Array,
    weight: Array,
    rows: Array,
    columns: Array,
    num_read: Array,
    total: Array,
) -> None:
    """Write the product to `total`; see `add_sparse_product`."""
    told = _told(values)
    num_events, num_units = total.shape
    # What a unit does not read is 0, and stays so: those before it read no more.
    table = np.zeros((len(columns), TILE), total.dtype)
    sums = np.zeros((1, TILE), total.dtype)
    for first in range(0, num_units, TILE):
        count = min(TILE, num_units - first)
        for unit in range(0, count, 4):
            a, b, c, d = _four(first, unit, num_units)
            row_a, row_b = rows[first + a], rows[first + b]
            row_c, row_d = rows[first + c], rows[first + d]
            for place in range(num_read[first + a]):
                column = columns[place]
                table[place, a] = weight[row_a, column]
                table[place, b] = weight[row_b, column]
                table[place, c] = weight[row_c, column]
                table[place, d] = weight[row_d, column]
            for own in (b, c, d):
                for place in range(num_read[first + a], num_read[first + own]):
                    table[place, own] = weight[rows[first + own], columns[place]]
        end = num_read[first + count - 1]
        for event in range(num_events):
            # Of a row that is cut out, the compiler knows that it lies in one piece.
            own_term = term[min(event, len(term) - 1), first : first + count]
            own_total = total[event, first : first + count]
            for unit in range(count):
                sums[0, unit] = own_term[unit]
            _add_rows(sums, 0, values, event, told, end, table)
            for unit in range(count):
                own_total[unit] = sums[0, unit]


@_entry
def _backward(
    values: Array,
    grad: Array,
    rows: Array,
    columns: Array,
    num_read: Array,
    grad_weight: Array,
) -> None:
    """Write the gradient of the weights.

    Every row is written from its begin to its end, zeros included: memory is slow elsewhere.
    """
    by_input = values.T
    told = _told(by_input)
    num_events, num_units = grad.shape
    zero = grad.dtype.type(0)
    own_grad = np.zeros((num_events, TILE), grad.dtype)
    # A row for each input, as weights are stored; and, as in `_forward`, 0 where nobody reads.
    table = np.zeros((len(columns), TILE), grad.dtype)
    for first in range(0, num_units, TILE):
        count = min(TILE, num_units - first)
        for event in range(num_events):
            cut_out = grad[event, first : first + count]
            for unit in range(count):
                own_grad[event, unit] = cut_out[unit]
        end = num_read[first + count - 1]
        for place in range(end):
            column = columns[place]
            for unit in range(TILE):
                table[column, unit] = zero
            _add_rows(table, column, by_input, place, told, num_events, own_grad)
        for unit in range(count):
            for place in range(num_read[first + unit], end):
                table[columns[place], unit] = zero
        for unit in range(0, count, 4):
            a, b, c, d = _four(first, unit, num_units)
            row_a, row_b = rows[first + a], rows[first + b]
            row_c, row_d = rows[first + c], rows[first + d]
            for column in range(len(columns)):
                grad_weight[row_a, column] = table[column, a]
                grad_weight[row_b, column] = table[column, b]
                grad_weight[row_c, column] = table[column, c]
                grad_weight[row_d, column] = table[column, d]


class _SparseProduct(torch.autograd.Function):
    """See `add_sparse_product`."""

    @staticmethod
    def forward(
        ctx: Any,
        term: Tensor,
        values: Tensor,
        weight: Tensor,
        rows: Tensor,
        columns: Tensor,
        num_read: Tensor,
    ) -> Tensor:
        total = weight.new_empty(len(values), len(weight))
        _forward(term.view(-1, len(weight)), values, weight, rows, columns, num_read, total)
        ctx.save_for_backward(values, rows, columns, num_read)
        ctx.term_dim = term.dim()
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, rows, columns, num_read = ctx.saved_tensors
        grad = grad.contiguous()
        grad_weight = fresh_tensor((len(rows), len(columns)), grad)
        _backward(values, grad, rows, columns, num_read, grad_weight)
        of_term = grad if ctx.term_dim == 2 else grad.sum(0)
        return of_term, None, grad_weight, None, None, None


@torch.compiler.disable  # type: ignore[untyped-decorator]
def add_sparse_product(
    term: Tensor, values: Tensor, weight: Tensor, rows: Tensor, columns: Tensor, num_read: Tensor
) -> Tensor:
    """A term plus the masked product of weights and values, `(B, N)`, as `Staircase.add_product`.

    Args:
        term: `(N,)` or `(B, N)`, in order of degree.
        values: `(B, K)`, in order of degree; the fewer differ from 0, the faster. They get no
            gradient.
        weight: `(N, K)`, as it is stored.
        rows: `(N,)` int64, the reading units in order of degree.
        columns: `(K,)` int64, likewise the inputs.
        num_read: `(N,)` int64, how many of the inputs each unit reads.
    """
    total: Tensor = _SparseProduct.apply(  # type: ignore[no-untyped-call]
        term, values, weight, rows, columns, num_read
    )
    return total
