"""Masked products in blocks: in order of degree a mask is a staircase, and half of it is nothing.

With the units of both layers in order of degree, what a unit reads is a prefix of the units below.
A product is then cut into blocks of neighbouring units. Each reads as far as its last unit does,
and only the last few columns of it, where its units differ, still need a mask.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from arbench_made.masks import Degrees

# More of them compute fewer products that are masked, each product less efficiently.
NUM_BLOCKS = 12


class Block(NamedTuple):
    """Neighbouring units of a layer, all in order of degree, and what they read.

    Attributes:
        own: which units they are.
        num_read: they read no unit of the layer below from this one on.
        num_common: all of them read the units up to this one.
        mask: `(units, num_read - num_common)`, 1 where a unit reads and 0 where it does not.
    """

    own: slice
    num_read: int
    num_common: int
    mask: Tensor


class Staircase:
    """The blocks of one product, and the order of degree on both of its sides.

    Args:
        degrees: of all units.
        target: the layer that reads.
        source: the layer that is read.
        dtype: of the weights.

    Attributes:
        rows: `(N,)` int64, the reading units in order of degree; None if they are so already.
        columns: `(K,)` int64, likewise the units that are read.
    """

    def __init__(self, degrees: Degrees, target: int, source: int, dtype: torch.dtype) -> None:
        rows, _ = degrees.by_degree(target)
        columns, starts = degrees.by_degree(source)
        reading, below = degrees.layer(target)[rows], degrees.layer(source)[columns]
        num_blocks = min(NUM_BLOCKS, len(rows))
        # Of every unit that reads, in order of degree: how many of the units below it reads.
        self.num_read = torch.tensor(starts)[reading.long() + 1]
        self.order = rows, columns
        self.blocks = []
        for start, end in pairwise(i * len(rows) // num_blocks for i in range(num_blocks + 1)):
            own = reading[start:end]
            num_common, num_read = starts[int(own[0]) + 1], starts[int(own[-1]) + 1]
            mask = (own.unsqueeze(1) >= below[num_common:num_read]).to(dtype)
            self.blocks.append(Block(slice(start, end), num_read, num_common, mask))
        self.rows, self.rows_back = _with_inverse(rows)
        self.columns, self.columns_back = _with_inverse(columns)

    def weight_of(self, block: Block, weight: Tensor) -> Tensor:
        """The weights of a block, `(units, num_read)`, masked; `weight` is as it is stored."""
        if self.rows is None:
            own = weight[block.own]
        else:
            own = weight.index_select(0, self.rows[block.own])
        if self.columns is None:
            own = own[:, : block.num_read]
            own = own.clone() if self.rows is None else own
        else:
            own = own.index_select(1, self.columns[: block.num_read])
        own[:, block.num_common :] *= block.mask
        return own

    def add_product(self, term: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """A term plus the masked product of weights and values, all in order of degree.

        Args:
            term: `(N,)` or `(B, N)`.
            values: `(B, K)`, units of the layer below.
            weight: `(N, K)`, as it is stored: in no order.

        Returns:
            `(B, N)`.
        """
        total: Tensor = _StaircaseProduct.apply(  # type: ignore[no-untyped-call]
            term, values, weight, self
        )
        return total

    def add_told(self, term: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """`add_product` of inputs, which get no gradient."""
        return self.add_product(term, values, weight)


class _StaircaseProduct(torch.autograd.Function):
    """See `Staircase.add_product`."""

    @staticmethod
    def forward(
        ctx: Any, term: Tensor, values: Tensor, weight: Tensor, stairs: Staircase
    ) -> Tensor:
        total = values.new_empty(len(values), len(weight))
        weights = []
        for block in stairs.blocks:
            own, read = stairs.weight_of(block, weight), values[:, : block.num_read]
            torch.addmm(term[..., block.own], read, own.T, out=total[:, block.own])
            if ctx.needs_input_grad[1]:
                weights.append(own)
        ctx.save_for_backward(values, *weights)
        ctx.stairs, ctx.num_units, ctx.term_dim = stairs, len(weight), term.dim()
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, *weights = ctx.saved_tensors
        stairs: Staircase = ctx.stairs
        grad_values = torch.zeros_like(values) if ctx.needs_input_grad[1] else None
        grad_weight = values.new_zeros(ctx.num_units, values.shape[1])
        for index, block in enumerate(stairs.blocks):
            own, read = grad[:, block.own], values[:, : block.num_read]
            part = grad_weight[block.own, : block.num_read]
            torch.mm(own.T, read, out=part)
            part[:, block.num_common :] *= block.mask
            if grad_values is not None:
                grad_values[:, : block.num_read].addmm_(own, weights[index])
        if stairs.rows_back is not None:
            grad_weight = grad_weight.index_select(0, stairs.rows_back)
        if stairs.columns_back is not None:
            grad_weight = grad_weight.index_select(1, stairs.columns_back)
        return grad if ctx.term_dim == 2 else grad.sum(0), grad_values, grad_weight, None


def _with_inverse(order: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """An order and the way back from it; None for both if it changes nothing."""
    if torch.equal(order, torch.arange(len(order), device=order.device)):
        return None, None
    return order, order.argsort()
