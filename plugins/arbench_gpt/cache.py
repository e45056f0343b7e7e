"""One site at a time: the weights cut for it, and the keys and values of all sites before."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.site_vectors import SiteLookup, SiteVectors
from arbench_gpt.affine import Affine
from arbench_gpt.blocks import Block, rotary_turns, swiglu

# A step reads what is in use and half of this; every so many steps all keys and values are copied.
MORE_SITES = 32


class StepWeights(NamedTuple):
    """One block's weights; norms, and the scale of the scores, are part of what follows them."""

    qkv: Affine
    mix: Affine
    up: Affine
    down: Affine
    num_heads: int
    gated: bool


class Grown:
    """Keys or values of all sites so far, in one block.

    A site reads all of them. Over the part in use of a room for all sites, that takes up to three
    times as long as over memory without gaps. So room is made for a few sites at a time, and used
    whole: what is not yet in use is 0.

    Args:
        batch_size: B.
        num_heads: of the attention.
        num_sites: T, of a whole event.
        head_dim: units per head.
        like: gives dtype and device.
        spare: memory that others have moved out of, and into which this may move.
    """

    def __init__(
        self,
        batch_size: int,
        num_heads: int,
        num_sites: int,
        head_dim: int,
        like: Tensor,
        spare: list[Tensor],
    ) -> None:
        self.num_sites = num_sites
        self.spare = spare
        self.memory = like.new_empty(0)
        self.sites = self.memory.view(batch_size, num_heads, 0, head_dim)

    def put(self, value: Tensor, site: int) -> None:
        """Keep `(B, heads, head_dim)` of a site; sites come in order, from 0."""
        if site == self.sites.shape[2]:
            self._move()
        self.sites[:, :, site] = value

    def _move(self) -> None:
        batch_size, num_heads, in_use, head_dim = self.sites.shape
        room = min(in_use + MORE_SITES, self.num_sites)
        per_site = batch_size * num_heads * head_dim
        # Fresh memory costs more than the copy: the system gives it page by page, each set to 0.
        memory = (
            self.spare.pop() if self.spare else _allocate(per_site * self.num_sites, self.memory)
        )
        longer = memory[: per_site * room].view(batch_size, num_heads, room, head_dim)
        longer[:, :, :in_use] = self.sites
        longer[:, :, in_use:] = 0
        if in_use:
            self.spare.append(self.memory)
        self.memory, self.sites = memory, longer


class Seen:
    """Keys and values of all sites so far, in one block.

    Args:
        batch_size: B.
        num_heads: of the attention.
        num_sites: T, of a whole event.
        head_dim: units per head.
        like: gives dtype and device.
        spare: see `Grown`.
    """

    def __init__(
        self,
        batch_size: int,
        num_heads: int,
        num_sites: int,
        head_dim: int,
        like: Tensor,
        spare: list[Tensor],
    ) -> None:
        self.keys = Grown(batch_size, num_heads, num_sites, head_dim, like, spare)
        self.values = Grown(batch_size, num_heads, num_sites, head_dim, like, spare)
        # What is not yet in use gets no attention.
        self.mask = like.new_full((1, 1, num_sites), -math.inf)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, site: int) -> Tensor:
        """Keep a site's key and value; mix the values of all sites by its query.

        Args:
            query: `(B, heads, head_dim)`, scaled.
            key: `(B, heads, head_dim)`.
            value: `(B, heads, head_dim)`.
            site: t. Sites come in order, from 0.

        Returns:
            `(B, heads * head_dim)`.
        """
        self.keys.put(key, site)
        self.values.put(value, site)
        self.mask[..., site] = 0
        keys, values = self.keys.sites.flatten(0, 1), self.values.sites.flatten(0, 1)
        mask = self.mask[..., : keys.shape[1]]
        scores = torch.baddbmm(mask, query.flatten(0, 1).unsqueeze(1), keys.mT)
        return torch.bmm(scores.softmax(-1), values).view(len(query), -1)


class SamplingState(NamedTuple):
    """What `GPT.step` keeps for one batch.

    Attributes:
        inputs: of a site.
        layers: weights of every block.
        outputs: the last map, with the final norm in it.
        places: per site the vector of its place, `(H,)`; empty unless it has one of its own.
        turns: per site `(head_dim / 2,)` complex, by which queries and keys are multiplied; empty
            unless positions are rotary.
        seen: per block, the keys and values of all sites so far.
        stream: `(B, H)`, the residual stream of a site; overwritten.
    """

    inputs: SiteLookup
    layers: list[StepWeights]
    outputs: Affine
    places: tuple[Tensor, ...]
    turns: tuple[Tensor, ...]
    seen: list[Seen]
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
    spare: list[Tensor] = []
    turns: tuple[Tensor, ...] = ()
    if rotary:
        turns = torch.complex(*rotary_turns(num_sites, head_dim, like)).unbind(0)
    return SamplingState(
        inputs=SiteLookup(inputs),
        layers=[_step_weights(block, rotary, batch_size) for block in blocks],
        outputs=Affine(*_fold(norm, outputs), batch_size),
        places=() if places is None else places.unbind(0),
        turns=turns,
        seen=[Seen(batch_size, num_heads, num_sites, head_dim, like, spare) for _ in blocks],
        stream=like.new_empty(batch_size, outputs.in_features),
    )


def advance(state: SamplingState, previous: Tensor | None, site: int) -> Tensor:
    """Parameters `(B, P)` of a site from the value of the one before, `(B, site_dim)`."""
    stream = state.stream
    state.inputs(previous, site, stream)
    if state.places:
        stream.add_(state.places[site])
    width = stream.shape[1]
    for layer, seen in zip(state.layers, state.seen, strict=True):
        qkv = layer.qkv(F.layer_norm(stream, (width,)))
        by_head = qkv.view(len(stream), 3, layer.num_heads, -1)
        if state.turns:
            pairs = by_head[:, :2].view(len(stream), 2, layer.num_heads, -1, 2)
            torch.view_as_complex(pairs).mul_(state.turns[site])
        query, key, value = by_head.unbind(1)
        stream = layer.mix.add_to(stream, seen.attend(query, key, value, site))
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
        num_heads=num_heads,
        gated=block.gated,
    )


def _fold(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """A linear map of what a norm returns, as a map of what it has before its gain and bias."""
    weight = linear.weight * norm.weight
    if norm.bias is None:
        return weight, linear.bias
    return weight, torch.addmv(linear.bias, linear.weight, norm.bias)


def _allocate(size: int, like: Tensor) -> Tensor:
    """Uninitialised memory `(size,)`.

    On a CPU it comes from numpy, which asks Linux for huge pages: with ordinary ones, finding the
    pages takes longer than reading them.
    """
    if like.device.type != "cpu":
        return like.new_empty(size)
    return torch.from_numpy(np.empty(size, np.dtype(str(like.dtype).removeprefix("torch."))))
