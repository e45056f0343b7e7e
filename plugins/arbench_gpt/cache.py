"""One site at a time: the weights cut for it, and the keys and values of all sites before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.site_vectors import SiteLookup, SiteVectors
from arbench_gpt.affine import Affine
from arbench_gpt.blocks import Block, rotary_turns, swiglu


class StepWeights(NamedTuple):
    """One block's weights; norms, and the scale of the scores, are part of what follows them."""

    qkv: Affine
    mix: Affine
    up: Affine
    down: Affine
    gated: bool


class SamplingState(NamedTuple):
    """What `GPT.step` keeps for one batch.

    Attributes:
        inputs: of a site.
        layers: weights of every block.
        outputs: the last map, with the final norm in it.
        places: per site the vector of its place, `(H,)`; empty unless it has one of its own.
        turns: per site `(head_dim / 2,)` complex, by which queries and keys are multiplied; empty
            unless positions are rotary.
        cache: `(layers, 2, B, heads, T, head_dim)`, keys and values of all sites so far.
    """

    inputs: SiteLookup
    layers: list[StepWeights]
    outputs: Affine
    places: tuple[Tensor, ...]
    turns: tuple[Tensor, ...]
    cache: Tensor


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
) -> SamplingState:
    """Weights as a step needs them, and room for keys and values.

    Args:
        blocks: in order.
        norm: the one after the last block.
        outputs: what reads it.
        inputs: of the first block.
        places: `(T, H)`, added to them, or None.
        num_sites: T.
        batch_size: B.
        rotary: whether queries and keys are turned.
    """
    like = outputs.weight
    num_heads = blocks[0].num_heads
    head_dim = outputs.in_features // num_heads
    turns: tuple[Tensor, ...] = ()
    if rotary:
        turns = torch.complex(*rotary_turns(num_sites, head_dim, like)).unbind(0)
    return SamplingState(
        inputs=SiteLookup(inputs),
        layers=[_step_weights(block, rotary, batch_size) for block in blocks],
        outputs=Affine(*_fold(norm, outputs), batch_size),
        places=() if places is None else places.unbind(0),
        turns=turns,
        cache=_room((len(blocks), 2, batch_size, num_heads, num_sites, head_dim), like),
    )


def advance(state: SamplingState, previous: Tensor | None, site: int) -> Tensor:
    """Parameters `(B, P)` of a site from the value of the one before, `(B, site_dim)`."""
    _, _, batch_size, num_heads, _, head_dim = state.cache.shape
    width = num_heads * head_dim
    stream = state.cache.new_empty(batch_size, width)
    state.inputs(previous, site, stream)
    if state.places:
        stream.add_(state.places[site])
    # Views for all layers at once: what has been seen, and where this site goes.
    seen = state.cache[..., : site + 1, :].flatten(0, 1).unbind(0)
    own = state.cache[..., site, :].unbind(0)
    for index, layer in enumerate(state.layers):
        qkv = layer.qkv(F.layer_norm(stream, (width,)))
        by_head = qkv.view(batch_size, 3, num_heads, head_dim)
        if state.turns:
            pairs = by_head[:, :2].view(batch_size, 2, num_heads, head_dim // 2, 2)
            torch.view_as_complex(pairs).mul_(state.turns[site])
        own[index].copy_(by_head[:, 1:].transpose(0, 1))
        attended = F.scaled_dot_product_attention(
            by_head[:, 0].unsqueeze(2), seen[2 * index], seen[2 * index + 1], scale=1.0
        )
        stream = layer.mix.add_to(stream, attended.view(batch_size, width))
        normed = F.layer_norm(stream, (width,))
        hidden = swiglu(layer.up(normed)) if layer.gated else layer.up.gelu(normed)
        stream = layer.down.add_to(stream, hidden)
    return state.outputs(F.layer_norm(stream, (width,)))


def _step_weights(block: Block, rotary: bool, batch_size: int) -> StepWeights:
    width, num_heads = block.mix.in_features, block.num_heads
    weight, bias = _fold(block.attention_norm, block.qkv)
    order = torch.arange(3 * width, device=weight.device)
    if rotary:
        # Units that turn together become neighbours: real and imaginary part of a number.
        heads = order[: 2 * width].view(2 * num_heads, 2, -1)
        order[: 2 * width] = heads.transpose(1, 2).flatten()
    scale = weight.new_ones(3 * width)
    scale[:width] = (width / num_heads) ** -0.5
    return StepWeights(
        qkv=Affine(
            weight[order] * scale.unsqueeze(1),
            None if bias is None else bias[order] * scale,
            batch_size,
        ),
        mix=Affine(block.mix.weight, block.mix.bias, batch_size),
        up=Affine(*_fold(block.mlp_norm, block.up), batch_size),
        down=Affine(block.down.weight, block.down.bias, batch_size),
        gated=block.gated,
    )


def _fold(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """A linear map of what a norm returns, as a map of what it has before its gain and bias."""
    weight = linear.weight * norm.weight
    if norm.bias is None:
        return weight, linear.bias
    return weight, torch.addmv(linear.bias, linear.weight, norm.bias)


def _room(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """An uninitialised tensor of that shape, with the dtype and the device of another one.

    A site reads all of the cache. On a CPU it comes from numpy, which asks Linux for huge pages:
    with ordinary ones, finding the pages takes longer than reading them.
    """
    if like.device.type != "cpu":
        return like.new_empty(shape)
    return torch.from_numpy(np.empty(shape, np.dtype(str(like.dtype).removeprefix("torch."))))
