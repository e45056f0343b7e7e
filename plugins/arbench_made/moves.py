"""Products in blocks whose weights compiled loops move. Importing this imports Numba."""

from __future__ import annotations

from typing import Any

import numpy as np
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

    A row is copied first: memory is read in order faster, and the nearest cache in any order.
    """
    zero, whole = weight.dtype.type(0), np.empty(len(columns), weight.dtype)
    for own in range(len(rows)):
        row, end = rows[own], num_read[own]
        for column in range(len(columns)):
            whole[column] = weight[row, column]
        for place in range(end):
            taken[own, place] = whole[columns[place]]
        for place in range(end, taken.shape[1]):
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
