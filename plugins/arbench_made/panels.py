"""Masked products by panels, which compiled loops take out of the weights. Importing imports Numba.

A panel is a part of the staircase whose weights lie in order of degree, with zeros where a unit
does not read. The longer side of the matrix is cut, so that products are large in all the others:
of a wide layer's few readers, columns. Weights are stored in no order. To put them into one, memory
is read and written a whole row at a time, from its begin to its end; what is in no order happens in
the nearest cache.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from arbench.networks.native import kept_on_disk
from arbench.networks.native.memory import fresh_tensor
from arbench_made.blocks import Staircase
from arbench_made.compiled import add_sparse_product
from arbench_made.masks import Degrees

Array = NDArray[Any]
# More of them compute fewer products that are masked, each product less efficiently.
NUM_PANELS = 16


@kept_on_disk
def _take(
    weight: Array, rows: Array, columns: Array, num_read: Array, bounds: Array, room: Array
) -> None:
    """Write the weights of all panels to `room`; see `PanelStaircase`."""
    zero, whole = weight.dtype.type(0), np.empty(len(columns), weight.dtype)
    for own in range(len(rows)):
        row = rows[own]
        for column in range(len(columns)):
            whole[column] = weight[row, column]
        for first, last, begin, end, start in bounds:
            if first <= own < last:
                at, read = start + (own - first) * (end - begin), columns[begin:end]
                part, count = room[at : at + end - begin], min(num_read[own], end) - begin
                for place in range(count):
                    part[place] = whole[read[place]]
                for place in range(max(count, 0), len(part)):
                    part[place] = zero


@kept_on_disk
def _put(
    room: Array, rows: Array, columns: Array, num_read: Array, bounds: Array, weight: Array
) -> None:
    """Write all weights: those of panels from where `_take` would have written them, 0 else."""
    zero = weight.dtype.type(0)
    for own in range(len(rows)):
        row = rows[own]
        for column in range(len(columns)):
            weight[row, column] = zero
        for first, last, begin, end, start in bounds:
            if first <= own < last:
                at, read = start + (own - first) * (end - begin), columns[begin:end]
                part, count = room[at : at + end - begin], min(num_read[own], end) - begin
                for place in range(count):
                    weight[row, read[place]] = part[place]


class Panel(NamedTuple):
    """A part of the weights: of which units, in order of degree, and where it begins in `room`."""

    own: slice
    read: slice
    start: int

    def of(self, room: Tensor) -> Tensor:
        """Its weights, `(units, units that they read)`."""
        shape = self.own.stop - self.own.start, self.read.stop - self.read.start
        return room[self.start : self.start + shape[0] * shape[1]].view(shape)


class PanelStaircase(Staircase):
    """A staircase whose weights and gradients are moved by compiled loops.

    Args:
        degrees: of all units.
        target: the layer that reads.
        source: the layer that is read.
        dtype: of the weights.

    Attributes:
        panels: what it is cut into.
        bounds: `(panels, 5)` int64, the same for compiled loops: first and last of the units, first
            and last of what they read, and start.
        size: how many weights all panels have.
    """

    def __init__(self, degrees: Degrees, target: int, source: int, dtype: torch.dtype) -> None:
        super().__init__(degrees, target, source, dtype)
        num_rows, num_columns = (len(own) for own in self.order)
        longer = max(num_rows, num_columns)
        num_panels, self.panels, self.size = min(NUM_PANELS, longer), [], 0
        for begin, end in pairwise(i * longer // num_panels for i in range(num_panels + 1)):
            if num_rows > num_columns:
                own, read = slice(begin, end), slice(0, int(self.num_read[end - 1]))
            else:
                first = torch.searchsorted(self.num_read, begin, right=True)
                own, read = slice(int(first), num_rows), slice(begin, end)
            self.panels.append(Panel(own, read, self.size))
            self.size += (own.stop - own.start) * (read.stop - read.start)
        self.bounds = torch.tensor(
            [(p.own.start, p.own.stop, p.read.start, p.read.stop, p.start) for p in self.panels]
        )

    def add_product(self, term: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """See `Staircase.add_product`."""
        total: Tensor = _PanelProduct.apply(  # type: ignore[no-untyped-call]
            term, values, weight, self
        )
        return total

    def add_told(self, term: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """`add_product` of inputs, which are mostly 0 and get no gradient, in compiled loops."""
        total: Tensor = add_sparse_product(term, values, weight, *self.order, self.num_read)
        return total


class _PanelProduct(torch.autograd.Function):
    """See `Staircase.add_product`."""

    @staticmethod
    def forward(
        ctx: Any, term: Tensor, values: Tensor, weight: Tensor, stairs: PanelStaircase
    ) -> Tensor:
        room = fresh_tensor((stairs.size,), weight)
        _take(weight, *stairs.order, stairs.num_read, stairs.bounds, room)
        total = weight.new_empty(len(values), len(weight)).copy_(term)
        for panel in stairs.panels:
            total[:, panel.own].addmm_(values[:, panel.read], panel.of(room).T)
        ctx.save_for_backward(values, room)
        ctx.stairs, ctx.term_dim = stairs, term.dim()
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, room = ctx.saved_tensors
        stairs: PanelStaircase = ctx.stairs
        grad, grad_values = grad.contiguous(), torch.zeros_like(values)
        for panel in stairs.panels:
            grad_values[:, panel.read].addmm_(grad[:, panel.own], panel.of(room))
        parts = fresh_tensor((stairs.size,), room)
        for panel in stairs.panels:
            torch.mm(grad[:, panel.own].T, values[:, panel.read], out=panel.of(parts))
        grad_weight = fresh_tensor((grad.shape[1], values.shape[1]), room)
        _put(parts, *stairs.order, stairs.num_read, stairs.bounds, grad_weight)
        return grad if ctx.term_dim == 2 else grad.sum(0), grad_values, grad_weight, None
