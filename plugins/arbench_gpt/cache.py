"""One site at a time: the weights cut for it, and the keys and values of all sites before."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.site_vectors import SiteLookup, SiteVectors
from arbench_gpt.affine import Affine
from arbench_gpt.blocks import Block, rotary_turns, swiglu

# So many numbers as keys of all blocks, and a step no longer finds them in caches.
BEYOND_CACHES = 1 << 22
# It then reads the keys in use and half of this; every so many steps all keys are copied.
MORE_SITES = 32


class StepWeights(NamedTuple):
    """One block's weights; norms, and the scale of the scores, are part of what follows them."""

    qkv: Affine
    mix: Affine
    up: Affine
    down: Affine
    num_heads: int
    gated: bool


class Room(NamedTuple):
    """What keys, or values, of a whole batch of events are to be kept of one block.

    Attributes:
        batch_size: B.
        num_heads: of the attention.
        num_sites: T, of a whole event.
        head_dim: units per head.
    """

    batch_size: int
    num_heads: int
    num_sites: int
    head_dim: int

    def allocate(self, like: Tensor) -> Tensor:
        """Uninitialised memory `(B * heads * T * head_dim,)`.

        On a CPU it comes from numpy, which asks Linux for huge pages: with ordinary ones, finding
        the pages takes longer than reading them.
        """
        size = math.prod(self)
        if like.device.type != "cpu":
            return like.new_empty(size)
        return torch.from_numpy(np.empty(size, np.dtype(str(like.dtype).removeprefix("torch."))))


class Seen(Protocol):
    """Keys and values of all sites so far, in one block."""

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
        ...


class SeenNearby:
    """Keys and values that a step finds in caches, or on a GPU.

    Args:
        room: for them.
        like: gives dtype and device.
    """

    def __init__(self, room: Room, like: Tensor) -> None:
        self.keys = room.allocate(like).view(room)
        self.values = room.allocate(like).view(room)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, site: int) -> Tensor:
        """See `Seen`."""
        self.keys[:, :, site] = key
        self.values[:, :, site] = value
        keys = self.keys.flatten(0, 1)[:, : site + 1]
        values = self.values.flatten(0, 1)[:, : site + 1]
        scores = torch.bmm(query.flatten(0, 1).unsqueeze(1), keys.mT)
        return torch.bmm(scores.softmax(-1), values).view(len(query), -1)


class SeenFarAway:
    """Keys and values so many that a CPU fetches them from memory: what counts is how it reads.

    Products read fastest with the matrix first, and what has no gaps: over the part in use of a
    room for all sites they take up to twice as long. So room for keys is made for a few sites at a
    time, and used whole. `embedding_bag`, which sums lines of a table, reads faster still, gaps or
    not: it mixes the values.

    Args:
        room: for keys, and for values.
        like: gives dtype; on a CPU.
        lines: shared by all blocks.
        spare: memory that keys of other blocks have moved out of, and these may move into.
    """

    def __init__(self, room: Room, like: Tensor, lines: Lines, spare: list[Tensor]) -> None:
        self.room = room
        self.lines = lines
        self.spare = spare
        self.memory = like.new_empty(0)
        self.keys = self.memory.view(room._replace(num_sites=0))
        self.values = room.allocate(like).view(room)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, site: int) -> Tensor:
        """See `Seen`."""
        if site == self.keys.shape[2]:
            self._move()
        self.keys[:, :, site] = key
        self.values[:, :, site] = value
        queries = query.flatten(0, 1).unsqueeze(1).mT
        scores = torch.bmm(self.keys.flatten(0, 1), queries).squeeze(2)
        shares = scores[:, : site + 1].softmax(-1).flatten()
        table, (places, starts), by_sum = self.values.flatten(0, 2), self.lines.up_to(site), 0
        mixed, *_ = torch.embedding_bag(
            table, places, starts, mode=by_sum, per_sample_weights=shares
        )
        return mixed.view(len(query), -1)

    def _move(self) -> None:
        in_use = self.keys.shape[2]
        more = self.room._replace(num_sites=min(in_use + MORE_SITES, self.room.num_sites))
        # Fresh memory costs more than the copy: the system gives it page by page, each set to 0.
        memory = self.spare.pop() if self.spare else self.room.allocate(self.memory)
        keys = memory[: math.prod(more)].view(more)
        keys[:, :, :in_use] = self.keys
        if in_use:
            self.spare.append(self.memory)
        self.memory, self.keys = memory, keys


class Lines:
    """Where the values of the sites up to one lie in a table `(B * heads * T, head_dim)`.

    Args:
        room: of the values.
    """

    def __init__(self, room: Room) -> None:
        rows = room.batch_size * room.num_heads
        self.all = torch.arange(rows * room.num_sites).view(rows, room.num_sites)
        self.site = -1

    def up_to(self, site: int) -> tuple[Tensor, Tensor]:
        """Lines `(B * heads * (site + 1),)`, row by row, and where among them each row begins."""
        if site != self.site:
            count = site + 1
            self.site = site
            self.places = self.all[:, :count].flatten()
            self.starts = self.all.view(-1)[: len(self.places) : count].contiguous()
        return self.places, self.starts


def _make_seen(num_blocks: int, room: Room, like: Tensor) -> list[Seen]:
    if like.device.type != "cpu" or num_blocks * math.prod(room) < BEYOND_CACHES:
        return [SeenNearby(room, like) for _ in range(num_blocks)]
    lines = Lines(room)
    spare: list[Tensor] = []
    return [SeenFarAway(room, like, lines, spare) for _ in range(num_blocks)]


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
    turns: tuple[Tensor, ...] = ()
    if rotary:
        turns = torch.complex(*rotary_turns(num_sites, head_dim, like)).unbind(0)
    return SamplingState(
        inputs=SiteLookup(inputs),
        layers=[_step_weights(block, rotary, batch_size) for block in blocks],
        outputs=Affine(*_fold(norm, outputs), batch_size),
        places=() if places is None else places.unbind(0),
        turns=turns,
        seen=_make_seen(len(blocks), Room(batch_size, num_heads, num_sites, head_dim), like),
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
