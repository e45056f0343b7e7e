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

# Products inside a block grow with its length, passes over the rows shrink with it: flat from 16
# to 28.
BLOCK_WIDTH = 28


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

    There is a row where a block starts and one after every site that is not all zero. N blocks of n
    sites cover the T sites, padded with sites that say nothing; R rows come block by block, event
    by event, in order of their first site.

    Attributes:
        seen: `(N, B, n * F)`, the features of every block.
        events: per block `(R_block,)` int64, the event that each row belongs to.
        inputs: per block `(R_block, n * F)`, its features before each row's first site, the rest 0.
        spans: per block, where its rows lie among all R.
        place: `(N * B * n,)` int64, which entry of an `(R, n)` table belongs to a block's event at
            a site.
    """

    def __init__(self, features: Tensor, block_size: int) -> None:
        batch_size, num_sites, _ = features.shape
        num_blocks = -(-num_sites // block_size)
        by_block = _blocks(features, num_blocks, block_size)
        is_first = features.new_ones((num_blocks, batch_size, block_size), dtype=torch.bool)
        is_first[..., 1:] = (by_block[:, :, :-1] != 0).any(-1)
        number, event, start = is_first.nonzero(as_tuple=True)
        ends = is_first.flatten(1).sum(1).cumsum(0).tolist()
        within = torch.arange(block_size, device=features.device)
        known = (within < start[:, None]).unsqueeze(-1)
        inputs = by_block.flatten(0, 1).index_select(0, number * batch_size + event) * known
        row = is_first.flatten().cumsum(0) - 1
        self.place = row * block_size + within.repeat(num_blocks * batch_size)
        self.spans = [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]
        self.seen = by_block.flatten(2)
        self.events = [event[span] for span in self.spans]
        self.inputs = [inputs[span].flatten(1) for span in self.spans]

    @property
    def most(self) -> int:
        """Rows of the largest block."""
        return max(len(event) for event in self.events)


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
        num_blocks = len(rows.spans)
        weights, readouts = (_matrices(w, num_blocks, block_size) for w in (weight, readout))
        before = bias.expand(num_blocks, batch_size, -1).contiguous()
        buffer = bias.new_empty((rows.most, len(bias)))
        table = bias.new_empty((rows.spans[-1].stop, block_size * num_params))
        for number, span in enumerate(rows.spans):
            hidden = _hidden(rows, number, before[number], weights[number], activation, buffer)
            torch.mm(hidden, readouts[number].T, out=table[span])
            if number + 1 < num_blocks:
                own = before[number + 1]
                torch.addmm(before[number], rows.seen[number], weights[number], out=own)
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
        num_blocks, num_params = len(before), grad.shape[-1]
        block_size = readouts.shape[1] // num_params
        grad_weights, grad_readouts = torch.empty_like(weights), torch.empty_like(readouts)
        # d loss / d pre-activation, summed over the sites after the block.
        later = torch.zeros_like(before[0])
        buffer = before.new_empty((2, rows.most, before.shape[-1]))
        table = grad.new_zeros((rows.spans[-1].stop * block_size, num_params))
        table[rows.place] = _blocks(grad, num_blocks, block_size).flatten(0, 2)
        table = table.view(-1, block_size * num_params)
        with torch.autocast(grad.device.type, enabled=False):
            for number in reversed(range(num_blocks)):
                weight = weights[number]
                hidden = _hidden(rows, number, before[number], weight, ctx.activation, buffer[0])
                own = table[rows.spans[number]]
                torch.mm(own.T, hidden, out=grad_readouts[number])
                grad_pre = buffer[1, : len(hidden)]
                torch.mm(own, readouts[number], out=grad_pre)
                _activation_backward_(grad_pre, hidden, ctx.activation)
                torch.mm(rows.inputs[number].T, grad_pre, out=grad_weights[number])
                grad_weights[number].addmm_(rows.seen[number].T, later)
                later.index_add_(0, rows.events[number], grad_pre)
        grad_weight, grad_readout = (
            stacked.view(-1, *shape[1:])[: shape[0]]
            for stacked, shape in zip((grad_weights, grad_readouts), ctx.shapes, strict=True)
        )
        return None, grad_weight, later.sum(0), grad_readout, grad.sum(0), None, None


def _blocks(sites: Tensor, num_blocks: int, block_size: int) -> Tensor:
    """What belongs to sites, `(B, T, X)`, as blocks `(N, B, n, X)`; sites past the end hold 0."""
    padding = num_blocks * block_size - sites.shape[1]
    padded = torch.nn.functional.pad(sites, (0, 0, 0, padding))
    return padded.view(len(sites), num_blocks, block_size, -1).transpose(0, 1).contiguous()


def _matrices(weight: Tensor, num_blocks: int, block_size: int) -> Tensor:
    """Weights of sites, `(T, X, H)`, as one matrix per block, `(N, n * X, H)`, padded with 0."""
    padding = num_blocks * block_size - len(weight)
    padded = torch.nn.functional.pad(weight, (0, 0, 0, 0, 0, padding)) if padding else weight
    return padded.view(num_blocks, -1, weight.shape[-1])


def _hidden(
    rows: _Rows,
    number: int,
    before: Tensor,
    weight: Tensor,
    activation: Activation,
    buffer: Tensor,
) -> Tensor:
    """Hidden units of a block's rows, `(R_block, H)`, in the buffer's first entries.

    `before` `(B, H)` is the pre-activation ahead of the block. The buffer is there because fresh
    memory of this size costs as much as the arithmetic on it.
    """
    pre = buffer[: len(rows.events[number])]
    torch.index_select(before, 0, rows.events[number], out=pre)
    pre.addmm_(rows.inputs[number], weight)
    return activate(pre, activation, out=pre)


def _activation_backward_(grad: Tensor, hidden: Tensor, activation: Activation) -> None:
    """Turns d loss / d hidden, `(R, H)`, into d loss / d pre-activation, in place."""
    if activation == "relu":
        torch.ops.aten.threshold_backward.grad_input(grad, hidden, 0, grad_input=grad)
    else:
        torch.ops.aten.sigmoid_backward.grad_input(grad, hidden, grad_input=grad)
