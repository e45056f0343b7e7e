"""Buffers for keys and values; a network keeps those of its last state for the next."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# A network keeps no more than this from one state to the next.
MOST_KEPT_BYTES = 1 << 30


class BufferShape(NamedTuple):
    """The shape of one block's keys, or values, of a whole batch of events.

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
        """An uninitialised tensor of this shape, of the dtype and on the device of another."""
        if like.device.type != "cpu":
            return like.new_empty(self)
        return self.laid_over(fresh_buffer(self.num_bytes(like.dtype)), like.dtype)

    def num_bytes(self, dtype: torch.dtype) -> int:
        """The bytes that a tensor of this shape takes."""
        return math.prod(self) * dtype.itemsize

    def laid_over(self, buffer: NDArray[np.uint8], dtype: torch.dtype) -> Tensor:
        """A tensor of this shape in the first bytes of a buffer."""
        return torch.from_numpy(buffer[: self.num_bytes(dtype)]).view(dtype).view(self)


def fresh_buffer(num_bytes: int) -> NDArray[np.uint8]:
    """Uninitialised bytes, on a CPU.

    numpy allocates them, because it asks Linux for huge pages. With ordinary pages, finding them
    takes longer than reading them.
    """
    return np.empty(num_bytes, np.uint8)


class SpareBuffers:
    """Buffers of earlier keys and values on a CPU, to be used again.

    A system hands out fresh memory page by page, each set to 0. That costs a sampler of many
    events a fifth of its time (docs/decisions/0014). So a network keeps the buffers of its last
    state: all of one size, and no more than one state needs. A taken buffer has one owner until
    that gives it back. Copies and pickles of a network start without buffers.

    Args:
        most: the largest number of buffers to keep.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        # The size of the kept buffers, and the buffers. Threads may share a network, so both are
        # replaced together.
        self._kept: tuple[int, list[NDArray[np.uint8]]] = (0, [])

    def __reduce__(self) -> tuple[type[SpareBuffers], tuple[int]]:
        return type(self), (self.most,)

    def take(self, num_bytes: int) -> NDArray[np.uint8]:
        """A buffer with arbitrary content; kept buffers of another size are freed."""
        size, kept = self._kept
        if size != num_bytes:
            self._kept = num_bytes, []
            return fresh_buffer(num_bytes)
        try:
            return kept.pop()
        except IndexError:
            return fresh_buffer(num_bytes)

    def give_back(self, buffers: list[NDArray[np.uint8]]) -> None:
        """Empty a list of buffers; keep those of the size that was taken last."""
        size, kept = self._kept
        while buffers:
            buffer = buffers.pop()
            if buffer.nbytes == size and len(kept) < min(self.most, MOST_KEPT_BYTES // size):
                kept.append(buffer)
