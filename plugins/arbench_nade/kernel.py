"""The tied NADE's parameters at all sites, in blocks, with a backward pass that recomputes.

The pre-activation `a_t = c + sum_{s < t} V_s x_s` changes only where a feature is not zero, so the
hidden units of one event take far fewer distinct values than there are sites: for binary data, one
more than there are ones. Only those distinct *rows* are computed. Sites are taken in blocks; the
rows of a block, of all events together, meet its weights in a few matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Activation = Literal["relu", "sigmoid"]

# Products inside a block grow with its length, passes over the rows shrink with it; flat near 20.
BLOCK_WIDTH = 20


@torch.compiler.disable  # type: ignore[untyped-decorator]
def all_sites(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    readout: Tensor,
    readout_bias: Tensor,
    activation: Activation,
    block_size: int | None = None,
) -> Tensor:
    """Parameters of every site, `(B, T, P)`: `readout_t act(bias + sum_{s<t} features_s weight_s)`.

    Time O(B T H (F + P)); besides inputs and gradients, memory O(B H T / block_size).

    Args:
        features: `(B, T, F)` floating point, what each site tells later ones. The fewer of them
            differ from 0, the faster. They get no gradient.
        weight: V, `(T, F, H)`.
        bias: c, `(H,)`.
        readout: U, `(T, P, H)`.
        readout_bias: b, `(T, P)`.
        activation: of the hidden units.
        block_size: sites per block; None chooses.

    Returns:
        `(B, T, P)` in the dtype of the weights.
    """
    if block_size is None:
        block_size = max(1, BLOCK_WIDTH // max(weight.shape[1], readout.shape[1]))
    params: Tensor = _AllSites.apply(  # type: ignore[no-untyped-call]
        features, weight, bias, readout, readout_bias, activation, block_size
    )
    return params


def activate(pre: Tensor, activation: Activation, *, out: Tensor) -> Tensor:
    """The hidden units of pre-activations, written to `out`, which may be `pre`."""
    if activation == "relu":
        return torch.clamp_min(pre, 0, out=out)
    return torch.sigmoid(pre, out=out)


@dataclass(frozen=True)
class _Block:
    """The distinct rows of one block of n sites.

    Attributes:
        sites: where the block lies among the T sites.
        event: `(R,)` int64, the event that each row belongs to.
        inputs: `(R, n * F)`, the block's features before each row's first site, the rest 0.
        place: `(B * n,)` int64, entry of the `(R, n)` table that holds event b at site t.
    """

    sites: slice
    event: Tensor
    inputs: Tensor
    place: Tensor


class _Rows:
    """Which rows there are: one where a block starts, one after every site that is not all zero."""

    def __init__(self, features: Tensor, block_size: int) -> None:
        batch_size, num_sites, _ = features.shape
        num_blocks = -(-num_sites // block_size)
        is_first = features.new_zeros((batch_size, num_blocks * block_size), dtype=torch.bool)
        is_first[:, 1:num_sites] = (features[:, :-1] != 0).any(-1)
        is_first[:, ::block_size] = True
        by_block = is_first.view(batch_size, num_blocks, block_size).transpose(0, 1)
        _, self._event, self._start = by_block.nonzero(as_tuple=True)
        self._row = by_block.flatten().cumsum(0).view(by_block.shape) - 1
        self._ends: list[int] = (self._row[:, -1, -1] + 1).tolist()
        self._features = features
        self._block_size = block_size

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def most(self) -> int:
        """Rows of the largest block."""
        return max(end - begin for begin, end in zip([0, *self._ends], self._ends, strict=False))

    def blocks(self, *, backwards: bool = False) -> Iterator[tuple[int, _Block]]:
        """The blocks with their numbers, from first to last or the other way."""
        for number in reversed(range(len(self))) if backwards else range(len(self)):
            yield number, self._block(number)

    def _block(self, number: int) -> _Block:
        begin, end = self._ends[number - 1] if number else 0, self._ends[number]
        sites = slice(number * self._block_size, (number + 1) * self._block_size)
        features = self._features[:, sites]
        length = features.shape[1]
        event, start = self._event[begin:end], self._start[begin:end]
        within = torch.arange(length, device=features.device)
        inputs = features.index_select(0, event) * (within < start[:, None]).unsqueeze(-1)
        place = (self._row[number, :, :length] - begin) * length + within
        return _Block(sites, event, inputs.flatten(1), place.flatten())


class _AllSites(torch.autograd.Function):
    """See `all_sites`; the hidden units of a block live only while the block is worked on."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        readout: Tensor,
        readout_bias: Tensor,
        activation: Activation,
        block_size: int,
    ) -> Tensor:
        batch_size = len(features)
        rows = _Rows(features, block_size)
        params = readout_bias.repeat(batch_size, 1, 1)
        before = bias.new_empty((len(rows), batch_size, len(bias)))
        before[0] = bias
        buffer = bias.new_empty((rows.most, len(bias)))
        for number, block in rows.blocks():
            hidden = _hidden(block, before[number], weight, activation, buffer)
            table = hidden @ readout[block.sites].flatten(0, 1).T
            own = params[:, block.sites]
            own += table.view(-1, own.shape[-1]).index_select(0, block.place).view(own.shape)
            if number + 1 < len(rows):
                seen = features[:, block.sites].flatten(1)
                torch.addmm(
                    before[number], seen, weight[block.sites].flatten(0, 1), out=before[number + 1]
                )
        ctx.save_for_backward(before, weight, readout)
        ctx.rows, ctx.features, ctx.activation = rows, features, activation
        return params

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        before, weight, readout = ctx.saved_tensors
        grad_weight, grad_readout = torch.empty_like(weight), torch.empty_like(readout)
        # d loss / d pre-activation, summed over the sites after the block.
        later = torch.zeros_like(before[0])
        buffer = before.new_empty((2, ctx.rows.most, before.shape[-1]))
        with torch.autocast(grad.device.type, enabled=False):
            for number, block in ctx.rows.blocks(backwards=True):
                hidden = _hidden(block, before[number], weight, ctx.activation, buffer[0])
                table = grad.new_zeros((hidden.shape[0], *readout[block.sites].shape[:2]))
                table.view(-1, grad.shape[-1])[block.place] = grad[:, block.sites].flatten(0, 1)
                table = table.flatten(1)
                torch.mm(table.T, hidden, out=grad_readout[block.sites].flatten(0, 1))
                grad_pre = buffer[1, : len(hidden)]
                torch.mm(table, readout[block.sites].flatten(0, 1), out=grad_pre)
                _activation_backward_(grad_pre, hidden, ctx.activation)
                own_weight = grad_weight[block.sites].flatten(0, 1)
                torch.mm(block.inputs.T, grad_pre, out=own_weight)
                own_weight.addmm_(ctx.features[:, block.sites].flatten(1).T, later)
                later.index_add_(0, block.event, grad_pre)
        return None, grad_weight, later.sum(0), grad_readout, grad.sum(0), None, None


def _hidden(
    block: _Block, before: Tensor, weight: Tensor, activation: Activation, buffer: Tensor
) -> Tensor:
    """Hidden units of a block's rows, `(R, H)`, in the buffer's first R rows.

    `before` `(B, H)` is the pre-activation ahead of the block. The buffer is there because fresh
    memory of this size costs as much as the arithmetic on it.
    """
    pre = buffer[: len(block.event)]
    torch.index_select(before, 0, block.event, out=pre)
    pre.addmm_(block.inputs, weight[block.sites].flatten(0, 1))
    return activate(pre, activation, out=pre)


def _activation_backward_(grad: Tensor, hidden: Tensor, activation: Activation) -> None:
    """Turns d loss / d hidden, `(R, H)`, into d loss / d pre-activation, in place."""
    if activation == "relu":
        torch.ops.aten.threshold_backward.grad_input(grad, hidden, 0, grad_input=grad)
    else:
        torch.ops.aten.sigmoid_backward.grad_input(grad, hidden, grad_input=grad)
