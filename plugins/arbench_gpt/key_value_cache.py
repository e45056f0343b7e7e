"""Key-value caches: keys and values of the sites so far, laid out for fast reading."""

from __future__ import annotations

import math
import weakref
from typing import Protocol

import torch
from torch import Tensor

from arbench_gpt.buffers import BufferShape, SpareBuffers

# From this many numbers as keys of all blocks on, they no longer fit into a CPU's caches.
BEYOND_CACHES = 1 << 22
# The buffer of keys grows by so many sites at a time; each time all keys are copied.
MORE_SITES = 32


class KeyValueCache(Protocol):
    """Keys and values of all sites so far, in one block.

    Attributes:
        keys: `(B, heads, S, head_dim)`, of which those of the sites so far come first.
        values: likewise.
    """

    keys: Tensor
    values: Tensor

    def fill(self, keys: Tensor, values: Tensor) -> None:
        """Keep those of the first n sites, `(B, heads, n, head_dim)`; nothing is kept before."""
        ...

    def attend(self, query: Tensor, key: Tensor, value: Tensor, site: int) -> Tensor:
        """Keep a site's key and value, and mix the values of all sites so far by its query.

        Args:
            query: `(B, heads, head_dim)`, scaled.
            key: `(B, heads, head_dim)`.
            value: `(B, heads, head_dim)`.
            site: t. Sites come in order, from 0.

        Returns:
            `(B, heads * head_dim)`.
        """
        ...


class PlainKeyValueCache:
    """Keys and values that fit into a CPU's caches, or lie on a GPU.

    Args:
        shape: of the keys, and of the values.
        like: gives dtype and device.
    """

    def __init__(self, shape: BufferShape, like: Tensor) -> None:
        self.keys = shape.allocate(like)
        self.values = shape.allocate(like)

    def fill(self, keys: Tensor, values: Tensor) -> None:
        """See `KeyValueCache`."""
        self.keys[:, :, : keys.shape[2]] = keys
        self.values[:, :, : keys.shape[2]] = values

    def attend(self, query: Tensor, key: Tensor, value: Tensor, site: int) -> Tensor:
        """See `KeyValueCache`."""
        self.keys[:, :, site] = key
        self.values[:, :, site] = value
        keys = self.keys.flatten(0, 1)[:, : site + 1]
        values = self.values.flatten(0, 1)[:, : site + 1]
        scores = torch.bmm(query.flatten(0, 1).unsqueeze(1), keys.mT)
        return torch.bmm(scores.softmax(-1), values).view(len(query), -1)


class LargeKeyValueCache:
    """Keys and values that do not fit into a CPU's caches, laid out for fast reading from memory.

    Products read fastest if the matrix comes first and has no gaps. Over the used part of a buffer
    for all sites they take up to twice as long. So the buffer for keys grows by a few sites at a
    time, without gaps. `embedding_bag`, which sums lines of a table, reads even faster, with gaps
    or without, so it mixes the values.

    Args:
        shape: of the keys when all are known, and of the values.
        like: a tensor on a CPU, which gives the dtype.
        lines: shared by all blocks.
        spare: provides the buffers, and gets them back when this cache is no longer referenced.
    """

    def __init__(self, shape: BufferShape, like: Tensor, lines: Lines, spare: SpareBuffers) -> None:
        self.shape = shape
        self.lines = lines
        self.spare = spare
        # The buffer of the values, then that of the keys, if there are any.
        self.taken = [spare.take(shape.num_bytes(like.dtype))]
        weakref.finalize(self, spare.give_back, self.taken).atexit = False
        self.values = shape.laid_over(self.taken[0], like.dtype)
        self.keys = like.new_empty(shape._replace(num_sites=0))

    def fill(self, keys: Tensor, values: Tensor) -> None:
        """See `KeyValueCache`."""
        self._grow(keys.shape[2])
        self.keys[:, :, : keys.shape[2]] = keys
        self.values[:, :, : keys.shape[2]] = values

    def attend(self, query: Tensor, key: Tensor, value: Tensor, site: int) -> Tensor:
        """See `KeyValueCache`."""
        if site == self.keys.shape[2]:
            self._grow(site + 1)
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

    def _grow(self, needed: int) -> None:
        """Move the keys to a buffer that has room for so many sites, or a few more."""
        in_use = self.keys.shape[2]
        room = -(-needed // MORE_SITES) * MORE_SITES
        more = self.shape._replace(num_sites=min(room, self.shape.num_sites))
        buffer = self.spare.take(self.taken[0].nbytes)
        keys = more.laid_over(buffer, self.keys.dtype)
        keys[:, :, :in_use] = self.keys
        self.spare.give_back(self.taken[1:])
        self.taken[1:] = [buffer]
        self.keys = keys


class Lines:
    """Where the values of the sites up to a given one lie in a table `(B * heads * T, head_dim)`.

    Args:
        shape: of the values.
    """

    def __init__(self, shape: BufferShape) -> None:
        rows = shape.batch_size * shape.num_heads
        self.all = torch.arange(rows * shape.num_sites).view(rows, shape.num_sites)
        self.site = -1

    def up_to(self, site: int) -> tuple[Tensor, Tensor]:
        """Lines `(B * heads * (site + 1),)`, row by row, and where each row begins among them."""
        if site != self.site:
            count = site + 1
            self.site = site
            self.places = self.all[:, :count].flatten()
            self.starts = self.all.view(-1)[: len(self.places) : count].contiguous()
        return self.places, self.starts


def make_caches(
    num_blocks: int, shape: BufferShape, like: Tensor, spare: SpareBuffers
) -> list[KeyValueCache]:
    """One cache per block, of the kind that suits device and size; see `LargeKeyValueCache`."""
    if like.device.type != "cpu" or num_blocks * math.prod(shape) < BEYOND_CACHES:
        return [PlainKeyValueCache(shape, like) for _ in range(num_blocks)]
    lines = Lines(shape)
    return [LargeKeyValueCache(shape, like, lines, spare) for _ in range(num_blocks)]
