"""Key-value caches: keys and values of the sites so far, as fast to read as they can be."""

from __future__ import annotations

import math
import weakref
from typing import Protocol

import torch
from torch import Tensor

from arbench_gpt.buffers import BufferShape, SpareBuffers

# So many numbers as keys of all blocks, and a step no longer finds them in a CPU's caches.
BEYOND_CACHES = 1 << 22
# It then reads the keys in use and half of this; every so many steps all keys are copied.
MORE_SITES = 32


class KeyValueCache(Protocol):
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


class PlainKeyValueCache:
    """Keys and values that a step finds in a CPU's caches, or on a GPU.

    Args:
        shape: of the keys, and of the values.
        like: gives dtype and device.
    """

    def __init__(self, shape: BufferShape, like: Tensor) -> None:
        self.keys = shape.allocate(like)
        self.values = shape.allocate(like)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, site: int) -> Tensor:
        """See `KeyValueCache`."""
        self.keys[:, :, site] = key
        self.values[:, :, site] = value
        keys = self.keys.flatten(0, 1)[:, : site + 1]
        values = self.values.flatten(0, 1)[:, : site + 1]
        scores = torch.bmm(query.flatten(0, 1).unsqueeze(1), keys.mT)
        return torch.bmm(scores.softmax(-1), values).view(len(query), -1)


class LargeKeyValueCache:
    """Keys and values so many that a CPU fetches them from memory: what counts is how it reads.

    Products read fastest with the matrix first, and what has no gaps: over the part in use of a
    buffer for all sites they take up to twice as long. So a buffer for keys is laid out for a few
    sites more at a time, and used whole. `embedding_bag`, which sums lines of a table, reads faster
    still, gaps or not: it mixes the values.

    Args:
        shape: of the keys when all are known, and of the values.
        like: gives dtype; on a CPU.
        lines: shared by all blocks.
        spare: where buffers come from, and go to when nothing refers to this any longer.
    """

    def __init__(self, shape: BufferShape, like: Tensor, lines: Lines, spare: SpareBuffers) -> None:
        self.shape = shape
        self.lines = lines
        self.spare = spare
        # Of the values, and of the keys if there are any.
        self.taken = [spare.take(shape.num_bytes(like.dtype))]
        weakref.finalize(self, spare.give_back, self.taken).atexit = False
        self.values = shape.laid_over(self.taken[0], like.dtype)
        self.keys = like.new_empty(shape._replace(num_sites=0))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, site: int) -> Tensor:
        """See `KeyValueCache`."""
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
        more = self.shape._replace(num_sites=min(in_use + MORE_SITES, self.shape.num_sites))
        buffer = self.spare.take(self.taken[0].nbytes)
        keys = more.laid_over(buffer, self.keys.dtype)
        keys[:, :, :in_use] = self.keys
        self.spare.give_back(self.taken[1:])
        self.taken[1:] = [buffer]
        self.keys = keys


class Lines:
    """Where the values of the sites up to one lie in a table `(B * heads * T, head_dim)`.

    Args:
        shape: of the values.
    """

    def __init__(self, shape: BufferShape) -> None:
        rows = shape.batch_size * shape.num_heads
        self.all = torch.arange(rows * shape.num_sites).view(rows, shape.num_sites)
        self.site = -1

    def up_to(self, site: int) -> tuple[Tensor, Tensor]:
        """Lines `(B * heads * (site + 1),)`, row by row, and where among them each row begins."""
        if site != self.site:
            count = site + 1
            self.site = site
            self.places = self.all[:, :count].flatten()
            self.starts = self.all.view(-1)[: len(self.places) : count].contiguous()
        return self.places, self.starts


def make_caches(
    num_blocks: int, shape: BufferShape, like: Tensor, spare: SpareBuffers
) -> list[KeyValueCache]:
    """One per block, of the kind that suits device and size; see `LargeKeyValueCache`."""
    if like.device.type != "cpu" or num_blocks * math.prod(shape) < BEYOND_CACHES:
        return [PlainKeyValueCache(shape, like) for _ in range(num_blocks)]
    lines = Lines(shape)
    return [LargeKeyValueCache(shape, like, lines, spare) for _ in range(num_blocks)]
