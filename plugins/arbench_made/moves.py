"""Products in blocks whose weights compiled loops move. Importing this imports Numba."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from arbench.networks.native import kept_on_disk
from arbench_made.blocks import Block, Staircase
from arbench_made.compiled import add_sparse_product

Array = NDArray[Any]


@kept_on_disk
def _take(weight: Array, rows: Array, columns: Array, num_read: Array, taken: Array) -> None:
    """Write the rows, each in the order of `columns` as far as it reads, and then 0.

    Two rows at a time, which the nearest caches hold.
    """
    zero, last = weight.dtype.type(0), len(rows) - 1
    for first in range(0, len(rows), 2):
        second = min(first + 1, last)
        row, next_row = rows[first], rows[second]
        for place in range(num_read[first]):
            column = columns[place]
            taken[first, place] = weight[row, column]
            taken[second, place] = weight[next_row, column]
        for place in range(num_read[first], num_read[second]):
            taken[second, place] = weight[next_row, columns[place]]
        for own in (first, second):
            for place in range(num_read[own], taken.shape[1]):
                taken[own, place] = zero


@kept_on_disk
def _put(taken: Array, rows: Array, columns: Array, num_read: Array, weight: Array) -> None:
    """Write whole rows: what `_take` would read, from where it would write it, and 0 elsewhere."""
    zero = weight.dtype.type(0)
    for own in range(len(rows)):
        row = rows[own]
        for column in range(len(columns)):
            weight[row, column] = zero
        for place in range(num_read[own]):
            weight[row, columns[place]] = taken[own, place]


class CompiledStaircase(Staircase):
    """A staircase whose weights and gradients are moved row by row, while caches hold them."""

    def weight_of(self, block: Block, weight: Tensor) -> Tensor:
        """See `Staircase.weight_of`."""
        rows, num_read = self.order[0][block.own], self.num_read[block.own]
        taken = weight.new_empty(len(rows), block.num_read)
        _take(weight, rows, self.order[1], num_read, taken)
        return taken

    def weight_gradient(self, grad: Tensor, values: Tensor) -> Tensor:
        """See `Staircase.weight_gradient`."""
        rows, columns = self.order
        found = values.new_empty(len(rows), len(columns))
        room = values.new_empty(max(own.stop - own.start for own, *_ in self.blocks), len(columns))
        for own, num_read, *_ in self.blocks:
            num_rows = own.stop - own.start
            # Rows lie close together, and every block in the same place: a cache may hold it.
            part = room.view(-1)[: num_rows * num_read].view(num_rows, num_read)
            torch.mm(grad[:, own].T, values[:, :num_read], out=part)
            _put(part, rows[own], columns, self.num_read[own], found)
        return found

    def add_told(self, term: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """`add_product` of inputs, which are mostly 0 and get no gradient, in compiled loops."""
        total: Tensor = add_sparse_product(term, values, weight, *self.order, self.num_read)
        return total
