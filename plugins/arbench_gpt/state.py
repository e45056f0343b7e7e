"""What GPT keeps while it draws one batch: a key-value cache per block, and weights for a step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.site_vectors import SiteLookup, SiteVectors
from arbench_gpt.affine import Affine
from arbench_gpt.blocks import Block, rotary_turns, swiglu
from arbench_gpt.buffers import BufferShape, SpareBuffers
from arbench_gpt.key_value_cache import KeyValueCache, make_caches

LinearWeights = tuple[Tensor, Tensor | None]  # weight `(outputs, inputs)`, and bias `(outputs,)`


class StepWeights(NamedTuple):
    """One block's weights; norms and the scale of the scores are folded into what follows them."""

    qkv: Affine
    mix: Affine
    up: Affine
    down: Affine
    num_heads: int
    gated: bool


class GPTState(NamedTuple):
    """What `GPT.step` keeps for one batch.

    Attributes:
        inputs: looks up the input of a site.
        layers: weights of every block.
        outputs: the last map, with the final norm folded in.
        places: per site the learned vector of its position, `(H,)`; empty if there is none.
        turns: per site `(head_dim / 2,)` complex, by which queries and keys are multiplied; empty
            unless positions are rotary.
        caches: per block, the keys and values of all sites so far.
        stream: `(B, H)`, the residual stream of a site; overwritten.
    """

    inputs: SiteLookup
    layers: list[StepWeights]
    outputs: Affine
    places: tuple[Tensor, ...]
    turns: tuple[Tensor, ...]
    caches: list[KeyValueCache]
    stream: Tensor


def make_state(
    blocks: list[Block],
    norm: nn.LayerNorm,
    outputs: nn.Linear,
    *,
    inputs: SiteVectors,
    places: Tensor | None,
    num_sites: int,
    batch_size: int,
    rotary: bool,
    spare: SpareBuffers,
) -> GPTState:
    """Weights as a step needs them, and empty key-value caches.

    Args:
        blocks: in order.
        norm: the norm after the last block.
        outputs: the map that reads it.
        inputs: the inputs of the first block.
        places: `(T, H)`, added to the inputs, or None.
        num_sites: T.
        batch_size: B.
        rotary: whether queries and keys are turned.
        spare: buffers of earlier states.
    """
    like = outputs.weight
    num_heads = blocks[0].num_heads
    head_dim = outputs.in_features // num_heads
    shape = BufferShape(batch_size, num_heads, num_sites, head_dim)
    turns: tuple[Tensor, ...] = ()
    if rotary:
        turns = torch.complex(*rotary_turns(num_sites, head_dim, like)).unbind(0)
    return GPTState(
        inputs=SiteLookup(inputs),
        layers=[_step_weights(block, rotary, batch_size) for block in blocks],
        outputs=Affine(*fold(norm, outputs), batch_size),
        places=() if places is None else places.unbind(0),
        turns=turns,
        caches=make_caches(len(blocks), shape, like, spare),
        stream=like.new_empty(batch_size, outputs.in_features),
    )


def advance(state: GPTState, previous: Tensor | None, site: int) -> Tensor:
    """Parameters `(B, P)` of a site from the value of the one before, `(B, site_dim)`."""
    stream = state.stream
    state.inputs(previous, site, stream)
    if state.places:
        stream.add_(state.places[site])
    width = stream.shape[1]
    for layer, cache in zip(state.layers, state.caches, strict=True):
        qkv = layer.qkv(F.layer_norm(stream, (width,)))
        by_head = qkv.view(len(stream), 3, layer.num_heads, -1)
        if state.turns:
            pairs = by_head[:, :2].view(len(stream), 2, layer.num_heads, -1, 2)
            torch.view_as_complex(pairs).mul_(state.turns[site])
        query, key, value = by_head.unbind(1)
        stream = layer.mix.add_to(stream, cache.attend(query, key, value, site))
        normed = F.layer_norm(stream, (width,))
        hidden = swiglu(layer.up(normed)) if layer.gated else layer.up.gelu(normed)
        stream = layer.down.add_to(stream, hidden)
    return state.outputs(F.layer_norm(stream, (width,)))


def read_prefix(state: GPTState, vectors: Tensor) -> None:
    """Put the keys and values of the first sites into the caches.

    Args:
        state: before any step.
        vectors: `(B, n, H)`, what enters the first block.
    """
    batch_size, num_sites, width = vectors.shape
    stream = vectors.flatten(0, 1)
    turns = torch.stack(state.turns[:num_sites])[:, None, None] if state.turns else None
    for number, (layer, cache) in enumerate(zip(state.layers, state.caches, strict=True)):
        qkv = layer.qkv(F.layer_norm(stream, (width,)))
        by_head = qkv.view(batch_size, num_sites, 3, layer.num_heads, -1)
        if turns is not None:
            pairs = by_head[:, :, :2].view(batch_size, num_sites, 2, layer.num_heads, -1, 2)
            torch.view_as_complex(pairs).mul_(turns)
        query, key, value = by_head.permute(2, 0, 3, 1, 4).unbind(0)
        cache.fill(key, value)
        if number + 1 == len(state.layers):
            return  # what the last block adds, no step asks for
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=1.0)
        mixed = mixed.transpose(1, 2).reshape(stream.shape)
        stream = layer.mix.add_to(stream, mixed)
        normed = F.layer_norm(stream, (width,))
        hidden = swiglu(layer.up(normed)) if layer.gated else layer.up.gelu(normed)
        stream = layer.down.add_to(stream, hidden)


def folded(block: Block, rotary: bool) -> tuple[LinearWeights, ...]:
    """The maps of a block as a step needs them: what `StepWeights` calls qkv, mix, up and down."""
    width, num_heads = block.mix.in_features, block.num_heads
    weight, bias = fold(block.attention_norm, block.qkv)
    # Scaling the queries scales the scores.
    scale = (width / num_heads) ** -0.5
    weight[:width] *= scale
    if bias is not None:
        bias[:width] *= scale
    if rotary:
        # Units that turn together become neighbours: real and imaginary part of a number.
        order = torch.arange(3 * width, device=weight.device)
        heads = order[: 2 * width].view(2 * num_heads, 2, -1)
        order[: 2 * width] = heads.transpose(1, 2).flatten()
        weight, bias = weight[order], None if bias is None else bias[order]
    return (
        (weight, bias),
        (block.mix.weight, block.mix.bias),
        fold(block.mlp_norm, block.up),
        (block.down.weight, block.down.bias),
    )


def _step_weights(block: Block, rotary: bool, batch_size: int) -> StepWeights:
    qkv, mix, up, down = (Affine(*own, batch_size) for own in folded(block, rotary))
    return StepWeights(qkv, mix, up, down, block.num_heads, block.gated)


def fold(norm: nn.LayerNorm, linear: nn.Linear) -> LinearWeights:
    """Weight and bias of a linear map after a norm, with the norm's gain and bias folded in.

    Both are new tensors.
    """
    weight = linear.weight * norm.weight
    if norm.bias is None:
        return weight, None if linear.bias is None else linear.bias.clone()
    return weight, torch.addmv(linear.bias, linear.weight, norm.bias)
