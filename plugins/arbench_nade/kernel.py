"""The tied NADE's parameters at all sites, in blocks, with a backward pass that recomputes.

The pre-activation `a_t = c + sum_{s < t} V_s x_s` changes only where a feature is not zero, so the
hidden units of one event take far fewer distinct values than there are sites: for binary data, one
more than there are ones. Only those distinct *rows* are computed. Sites are taken in blocks; the
rows of a block, of all events together, meet its weights in a few matrix products.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Activation = Literal["relu", "sigmoid"]

# Products inside a block grow with its length, passes over the rows shrink with it; vector units
# like multiples of 16.
BLOCK_WIDTH = 16


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
        block_size = min(block_size, features.shape[1])
    params: Tensor = _AllSites.apply(  # type: ignore[no-untyped-call]
        features, weight, bias, readout, readout_bias, activation, block_size
    )
    return params


def activate(pre: Tensor, activation: Activation, *, out: Tensor) -> Tensor:
    """The hidden units of pre-activations, written to `out`, which may be `pre`."""
    if activation == "relu":
        return torch.clamp_min(pre, 0, out=out)
    return torch.sigmoid(pre, out=out)


class _Rows:
    """The distinct rows of all blocks, worked out once for both passes.

    An event has one row where a block starts, and *later* ones, after every site of the block that
    is not all zero. N blocks of n sites cover the T sites, padded with sites that say nothing. R
    rows come block by block, a block's later ones first, event by event, then the B first ones.

    Attributes:
        seen: per block `(B, n * F)`, its features.
        events: per block `(L_block,)` int64, the event that each later row belongs to.
        known: per block `(L_block, n * F)`, its features before each later row's first site, the
            rest 0.
        both: per block `(B + L_block, n * F)`, seen and known together.
        sizes: rows of every block, `B + L_block`.
        place: `(N * B * n,)` int64, which entry of an `(R, n)` table belongs to a block's event at
            a site.
    """

    def __init__(self, features: Tensor, block_size: int) -> None:
        batch_size, num_sites, _ = features.shape
        num_blocks = -(-num_sites // block_size)
        by_block = _blocks(features, num_blocks, block_size)
        speaks = (by_block[:, :, :-1] != 0).any(-1)
        block, event, last = speaks.nonzero(as_tuple=True)
        counts = speaks.flatten(1).sum(1)
        num_later = counts.tolist()
        is_known = torch.arange(block_size, device=features.device) <= last[:, None]
        known = by_block.flatten(0, 1).index_select(0, block * batch_size + event)
        known = (known * is_known.unsqueeze(-1)).flatten(1)
        self.seen = by_block.flatten(2).unbind()
        self.events = torch.split(event, num_later)
        self.known = torch.split(known, num_later)
        self.both = [torch.cat(pair) for pair in zip(self.seen, self.known, strict=True)]
        self.sizes = [batch_size + num for num in num_later]
        # The row of an event at a site: its block's first one, or that of the last site that spoke.
        blocks, events, sites = (
            torch.arange(size, device=features.device)
            for size in (num_blocks, batch_size, block_size)
        )
        so_far = speaks.flatten().cumsum(0).view_as(speaks)
        before = (so_far - speaks.long())[..., :1]
        firsts = (counts.cumsum(0)[:, None] + events).unsqueeze(-1)
        later = torch.where(so_far > before, so_far - 1, firsts)
        rows = torch.cat((firsts, later), -1) + (blocks * batch_size)[:, None, None]
        self.place = (rows * block_size + sites).flatten()


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
        (batch_size, num_sites, _), num_params = features.shape, readout.shape[1]
        rows = _Rows(features, block_size)
        num_blocks = len(rows.sizes)
        # The weights of a block's sites as one matrix, `(N, n * X, H)`.
        weights, readouts = (
            _blocks(w.flatten(1)[None], num_blocks, block_size).view(num_blocks, -1, w.shape[-1])
            for w in (weight, readout)
        )
        before = bias.new_empty((num_blocks, batch_size, len(bias)))
        before[0] = bias
        buffer = bias.new_empty((max(rows.sizes), len(bias)))
        table = bias.new_empty((sum(rows.sizes), block_size * num_params))
        tables, pres = torch.split(table, rows.sizes), before.unbind()
        blocks = enumerate(zip(pres, weights.unbind(), readouts.mT.unbind(), strict=True))
        for number, (pre, block_weight, block_readout) in blocks:
            hidden = _hidden(rows, number, pre, block_weight, activation, buffer)
            torch.mm(hidden, block_readout, out=tables[number])
            if number + 1 < num_blocks:
                torch.addmm(pre, rows.seen[number], block_weight, out=pres[number + 1])
        ctx.save_for_backward(before, weights, readouts)
        ctx.rows, ctx.activation, ctx.shapes = rows, activation, (weight.shape, readout.shape)
        params = table.view(-1, num_params).index_select(0, rows.place)
        params = params.view(num_blocks, batch_size, block_size, num_params).transpose(0, 1)
        return params.flatten(1, 2)[:, :num_sites] + readout_bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        before, weights, readouts = ctx.saved_tensors
        rows: _Rows = ctx.rows
        (num_blocks, batch_size, num_hidden), num_params = before.shape, grad.shape[-1]
        block_size = readouts.shape[1] // num_params
        grad_weights, grad_readouts = torch.empty_like(weights), torch.empty_like(readouts)
        buffer = before.new_empty((max(rows.sizes), num_hidden))
        # d loss / d pre-activation: first, summed over the sites after the block; then of its rows.
        grads = before.new_zeros((batch_size + max(rows.sizes), num_hidden))
        after = grads[:batch_size]
        table = grad.new_zeros((sum(rows.sizes) * block_size, num_params))
        table[rows.place] = _blocks(grad, num_blocks, block_size).flatten(0, 2)
        tables = torch.split(table.view(-1, block_size * num_params), rows.sizes)
        by_block = (before, weights, readouts, grad_weights, grad_readouts)
        blocks = list(enumerate(zip(*(stacked.unbind() for stacked in by_block), strict=True)))
        with torch.autocast(grad.device.type, enabled=False):
            for number, (pre, weight, readout, grad_weight, grad_readout) in reversed(blocks):
                hidden = _hidden(rows, number, pre, weight, ctx.activation, buffer)
                torch.mm(tables[number].T, hidden, out=grad_readout)
                own = grads[batch_size : batch_size + len(hidden)]
                torch.mm(tables[number], readout, out=own)
                # From d loss / d hidden to d loss / d pre-activation, in place.
                if ctx.activation == "relu":
                    torch.ops.aten.threshold_backward.grad_input(own, hidden, 0, grad_input=own)
                else:
                    torch.ops.aten.sigmoid_backward.grad_input(own, hidden, grad_input=own)
                later, firsts = own[:-batch_size], own[-batch_size:]
                torch.mm(rows.both[number].T, grads[: len(hidden)], out=grad_weight)
                after.add_(firsts).index_add_(0, rows.events[number], later)
        grad_weight, grad_readout = (
            stacked.view(-1, *shape[1:])[: shape[0]]
            for stacked, shape in zip((grad_weights, grad_readouts), ctx.shapes, strict=True)
        )
        return None, grad_weight, after.sum(0), grad_readout, grad.sum(0), None, None


def _blocks(sites: Tensor, num_blocks: int, block_size: int) -> Tensor:
    """What belongs to sites, `(B, T, X)`, as blocks `(N, B, n, X)`; sites past the end hold 0."""
    padding = num_blocks * block_size - sites.shape[1]
    padded = torch.nn.functional.pad(sites, (0, 0, 0, padding)) if padding else sites
    return padded.view(len(sites), num_blocks, block_size, -1).transpose(0, 1).contiguous()


def _hidden(
    rows: _Rows,
    number: int,
    before: Tensor,
    weight: Tensor,
    activation: Activation,
    buffer: Tensor,
) -> Tensor:
    """Hidden units of a block's rows, `(B + L_block, H)`, in the buffer's first entries.

    `before` `(B, H)` is the pre-activation ahead of the block. The buffer is there because fresh
    memory of this size costs as much as the arithmetic on it.
    """
    hidden = buffer[: rows.sizes[number]]
    later, firsts = hidden[: -len(before)], hidden[-len(before) :]
    torch.index_select(before, 0, rows.events[number], out=later)
    later.addmm_(rows.known[number], weight)
    activate(later, activation, out=later)
    activate(before, activation, out=firsts)
    return hidden
