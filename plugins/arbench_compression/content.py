"""What a file holds: events, words that end, or a stream; and in which lots they are coded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from arbench import DataError, Layout, Split, Windows


@dataclass(frozen=True)
class Ends:
    """How events of varying length end.

    Attributes:
        value: the first dim of this value is the last that is coded; None if no value ends events
            and their lengths have to be told.
        padding: the value of all dims after it.
        lengths: how many dims of each event are coded, where they are told.
    """

    value: int | None
    padding: int
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class Lot:
    """Events whose dims are coded side by side, or one window of a stream.

    Attributes:
        first: number of the first event; of a stream, of the window's first symbol.
        size: B, how many events.
        num_known: leading dims that earlier lots have told already.
        num_dims: up to which dim it goes.
    """

    first: int
    size: int
    num_known: int
    num_dims: int


@dataclass(frozen=True)
class Plan:
    """What both sides of a file have to know beside the model.

    Attributes:
        num_items: how many events; of a stream, how many symbols.
        batch_size: how many events are coded side by side; 1 for a stream.
        windows: through which a stream is seen; None for events.
        ends: how events of varying length end; None if all have one length.
    """

    num_items: int
    batch_size: int
    windows: Windows | None = None
    ends: Ends | None = None

    def lots(self, num_dims: int) -> Iterator[Lot]:
        """The lots in the order in which they are read, for events of D dims."""
        if self.windows is None:
            for first in range(0, self.num_items, self.batch_size):
                size = min(self.batch_size, self.num_items - first)
                yield Lot(first, size, 0, num_dims)
            return
        # The windows that evaluation scores, each with the symbols that it scores there.
        last, told = max(0, self.num_items - num_dims), 0
        for first in (*range(0, last, self.windows.stride), last):
            end = min(first + num_dims, self.num_items)
            yield Lot(first, 1, told - first, end - first)
            told = end

    def num_lots(self, num_dims: int) -> int:
        """How many lots there are."""
        step = self.batch_size
        if self.windows is None:
            return -(-self.num_items // step)
        return 1 + -(-max(0, self.num_items - num_dims) // self.windows.stride)


@dataclass(frozen=True)
class Content:
    """Events or a stream, ready to be coded.

    Attributes:
        plan: how.
        items: `(N, *event_shape)` events, or the `(N,)` symbols of a stream.
    """

    plan: Plan
    items: Tensor

    def values(self, layout: Layout, lot: Lot) -> Tensor:
        """The values of a lot in the order in which they are coded, `(B, num_dims)` int64."""
        if self.plan.windows is not None:
            return self.items[None, lot.first : lot.first + lot.num_dims].long()
        events = self.items[lot.first : lot.first + lot.size]
        return layout.to_sites(events).flatten(1).long()

    @property
    def sha256(self) -> bytes:
        """Of the items, and of their lengths where they are told."""
        items = self.items.to(torch.uint8 if int(self.items.max()) < 256 else torch.int64)
        lengths = self.plan.ends.lengths if self.plan.ends else ()
        digest = hashlib.sha256(f"{items.dtype} {tuple(items.shape)} {lengths}".encode())
        digest.update(items.contiguous().numpy().data)
        return digest.digest()


def content_of(split: Split, windows: Windows | None, batch_size: int) -> Content:
    """The content that the events of a split, or the windows of a stream, are.

    Raises:
        DataError: if they are scored in a way that no reader could follow.
    """
    events = split.events
    if windows is not None:
        assert split.scored is not None
        return Content(Plan(split.num_scored_dims, 1, windows), events[split.scored])
    ends = None if split.scored is None else _ends(events, split.scored)
    return Content(Plan(len(split), batch_size, None, ends), events)


def _ends(events: Tensor, scored: Tensor) -> Ends | None:
    """How events end, found from which dims are scored; None if all dims are.

    Raises:
        DataError: if they do not end, or go on in different ways.
    """
    if bool(scored.all()):
        return None
    lengths = scored.flatten(1).sum(1)
    places = torch.arange(scored.shape[1])
    is_padding = places >= lengths[:, None]
    if events.dim() != 2 or not torch.equal(scored, ~is_padding):
        raise DataError("its events are scored here and there, and do not end: no file holds them")
    values = sorted({*events[is_padding].tolist()})
    if len(values) > 1:
        raise DataError(f"what comes after the end of its events is of {len(values)} values, not 1")
    short = int((lengths < events.shape[1]).int().argmax())
    if lengths[short] > 0:
        value = int(events[short, lengths[short] - 1])
        is_end = torch.where(events == value, places, events.shape[1] - 1)
        if torch.equal(is_end.min(1).values + 1, lengths):
            return Ends(value, values[0])
    return Ends(None, values[0], tuple(lengths.tolist()))
