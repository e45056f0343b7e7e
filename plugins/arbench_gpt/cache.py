"""One site at a time: the weights cut for it, and the keys and values of all sites before."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench_gpt.blocks import Block, rotary_turns


class Affine(NamedTuple):
    """`x W + b` as a step needs it.

    Attributes:
        weight: `(inputs, outputs)`.
        bias: `(outputs,)`, or None.
    """

    weight: Tensor
    bias: Tensor | None

    def into(self, out: Tensor, x: Tensor) -> Tensor:
        """Write `x W + b` into `out`, `(B, outputs)`."""
        if self.bias is None:
            return torch.mm(x, self.weight, out=out)
        return torch.addmm(self.bias, x, self.weight, out=out)

    def add_to(self, out: Tensor, x: Tensor) -> Tensor:
        """Add `x W + b` to `out`, `(B, outputs)`."""
        out.addmm_(x, self.weight)
        return out if self.bias is None else out.add_(self.bias)


class StepWeights(NamedTuple):
    """One block's weights; norms, and the scale of the scores, are part of what follows them."""

    qkv: Affine
    mix: Affine
    up: Affine
    down: Affine


class SamplingState(NamedTuple):
    """What `GPT.step` keeps for one batch.

    Attributes:
        layers: weights of every block.
        outputs: the last map, with the final norm in it.
        places: per site what its place adds to the input, `(H,)`; empty if nothing.
        turns: per site `(head_dim / 2,)` complex, by which queries and keys are multiplied; empty
            unless positions are rotary.
        cache: `(layers, 2, B, heads, T, head_dim)`, keys and values of all sites so far.
        stream: `(B, H)`, the residual stream.
        qkv: `(B, 3 H)`.
        queries: `(B, heads, 1, head_dim)`, a view of `qkv`.
        turning: `(B, 2 heads, head_dim / 2)` complex, queries and keys, a view of `qkv`.
        newest: `(2, B, heads, head_dim)`, keys and values, a view of `qkv`.
        hidden: `(B, units)`, before the activation.
    """

    layers: list[StepWeights]
    outputs: Affine
    places: tuple[Tensor, ...]
    turns: tuple[Tensor, ...]
    cache: Tensor
    stream: Tensor
    qkv: Tensor
    queries: Tensor
    turning: Tensor | None
    newest: Tensor
    hidden: Tensor


def make_state(
    blocks: list[Block],
    norm: nn.LayerNorm,
    outputs: nn.Linear,
    *,
    places: tuple[Tensor, ...],
    num_sites: int,
    batch_size: int,
    rotary: bool,
) -> SamplingState:
    """Weights as a step needs them, and an empty cache.

    Args:
        blocks: in order.
        norm: the one after the last block.
        outputs: what reads it.
        places: as in the state.
        num_sites: T.
        batch_size: B.
        rotary: whether queries and keys are turned.
    """
    like = outputs.weight
    width, num_heads = outputs.in_features, blocks[0].num_heads
    head_dim = width // num_heads
    qkv = like.new_empty(batch_size, 3 * width)
    by_head = qkv.view(batch_size, 3, num_heads, head_dim)
    turns: tuple[Tensor, ...] = ()
    turning = None
    if rotary:
        turns = torch.complex(*rotary_turns(num_sites, head_dim, like)).unbind(0)
        pairs = by_head[:, :2].unflatten(-1, (-1, 2))
        turning = torch.view_as_complex(pairs)
    return SamplingState(
        layers=[_step_weights(block, rotary) for block in blocks],
        outputs=_after_norm(norm, outputs),
        places=places,
        turns=turns,
        cache=like.new_zeros(len(blocks), 2, batch_size, num_heads, num_sites, head_dim),
        stream=like.new_empty(batch_size, width),
        qkv=qkv,
        queries=by_head[:, 0].unsqueeze(2),
        turning=turning,
        newest=by_head[:, 1:].transpose(0, 1),
        hidden=like.new_empty(batch_size, blocks[0].up.out_features),
    )


def advance(state: SamplingState, blocks: list[Block], site: int) -> Tensor:
    """Parameters `(B, P)` of a site, whose input is in the state's stream."""
    stream, qkv, hidden = state.stream, state.qkv, state.hidden
    shape = stream.shape[1:]
    # Views of all layers at once: the sites so far, and the place of this one.
    seen = state.cache[..., : site + 1, :].flatten(0, 1).unbind(0)
    places = state.cache[..., site, :].unbind(0)
    for index, (layer, block) in enumerate(zip(state.layers, blocks, strict=True)):
        layer.qkv.into(qkv, F.layer_norm(stream, shape))
        if state.turning is not None:
            state.turning.mul_(state.turns[site])
        places[index].copy_(state.newest)
        attended = F.scaled_dot_product_attention(
            state.queries, seen[2 * index], seen[2 * index + 1], scale=1.0
        )
        layer.mix.add_to(stream, attended.view(stream.shape))
        layer.up.into(hidden, F.layer_norm(stream, shape))
        layer.down.add_to(stream, block.activate(hidden))
    normed = F.layer_norm(stream, shape)
    weight, bias = state.outputs
    return normed @ weight if bias is None else torch.addmm(bias, normed, weight)


def _step_weights(block: Block, rotary: bool) -> StepWeights:
    width, num_heads = block.mix.in_features, block.num_heads
    qkv = _after_norm(block.attention_norm, block.qkv)
    order = torch.arange(3 * width, device=qkv.weight.device)
    if rotary:
        # Units that turn together become neighbours: real and imaginary part of a number.
        heads = order[: 2 * width].view(2 * num_heads, 2, -1)
        order[: 2 * width] = heads.transpose(1, 2).flatten()
    scale = qkv.weight.new_ones(3 * width)
    scale[:width] = (width / num_heads) ** -0.5
    return StepWeights(
        qkv=Affine(
            qkv.weight[:, order] * scale, None if qkv.bias is None else qkv.bias[order] * scale
        ),
        mix=_affine(block.mix),
        up=_after_norm(block.mlp_norm, block.up),
        down=_affine(block.down),
    )


def _affine(linear: nn.Linear) -> Affine:
    return Affine(linear.weight.T.contiguous(), linear.bias)


def _after_norm(norm: nn.LayerNorm, linear: nn.Linear) -> Affine:
    """A linear map of what a norm returns, as a map of what it has before its gain and bias."""
    weight = (linear.weight * norm.weight).T.contiguous()
    if norm.bias is None:
        return Affine(weight, linear.bias)
    shift = linear.weight @ norm.bias
    return Affine(weight, shift if linear.bias is None else linear.bias + shift)
