"""Pieces of music and the like: streams that begin and end, in windows of whole steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from arbench.data.streams import StreamTask, WindowedTask, overlapping_windows
from arbench.data.tasks import Split, SplitName
from arbench.errors import DataError
from arbench.probability.events import EventSpec


class PieceTask(StreamTask):
    """A task whose splits are pieces of varying length, steps in time of as many dims each.

    Pieces are independent of each other. A recipe's `[stream]` section says how much of one a
    model sees at once, counted in steps: with a context as long as the longest piece, all of it.

    Attributes:
        step_dims: dims of a step, such as the keys of a piano.
    """

    has_pieces: ClassVar[bool] = True
    group = "piece"
    step_dims: int

    @abstractmethod
    def load_pieces(self, split: SplitName) -> Sequence[Tensor]:
        """The pieces of a split, `(steps, step_dims)` uint8 or int64 each, at least one step long.

        Raises:
            DataError: if the data are missing or damaged.
        """

    @property
    def longest(self) -> int:
        """Steps of the longest piece of all splits."""
        names: tuple[SplitName, ...] = ("train", "validation", "test")
        return max(len(piece) for name in names for piece in self.load_pieces(name))

    def load_stream(self, split: SplitName) -> Tensor:
        """The dims of all pieces, one after the other, `(N,)`."""
        return torch.cat([*self.load_pieces(split)]).flatten()

    def load(self, split: SplitName) -> Split:
        """Whole pieces, `(P, 1, longest, step_dims)`, padded with 0; the data's hash is of these.

        All splits are padded alike, so that equal pieces are equal events.
        """
        pieces, longest = self.load_pieces(split), self.longest
        events = pieces[0].new_zeros((len(pieces), 1, longest, self.step_dims))
        for event, piece in zip(events, pieces, strict=True):
            event[0, : len(piece)] = piece
        lengths = torch.tensor([len(piece) for piece in pieces])
        scored = torch.arange(longest) < lengths[:, None]
        return Split(events, scored[:, None, :, None].expand(events.shape))

    def windows(self, context: int, stride: int) -> WindowedPieces:
        """This task, seen through windows of `context` steps; see `WindowedPieces`."""
        return WindowedPieces(self, context, stride)

    def window_view(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """What training sees of windows, such as transposed ones; by default themselves.

        Args:
            windows: `(N, 1, context, step_dims)`, cut anew in every epoch; not to be changed.
            generator: the only source of randomness allowed.
        """
        return windows


class WindowedPieces(WindowedTask):
    """Pieces as events `(1, context, step_dims)`: rows are steps, and a raster scan goes in time.

    The first window of a piece begins where the piece does. Validation and test are windows that
    start `stride` steps apart, of which only those steps are scored that no window before them has
    scored, so that every step of every piece is scored exactly once, with at least `context -
    stride` steps before it wherever there are that many. The last window ends where the piece does.
    A piece that fills no window is padded at its end, and its padding is not scored. The windows of
    a piece are one group, or those of pieces that the stream has in one group.

    Training sees every piece in as few windows as cover it, all of them scored whole: the first
    begins where the piece does, the last ends there, and those between overlap, anew in every
    epoch, by random numbers of steps. Steps where two windows overlap are seen twice.

    Args:
        stream: the task to look at.
        context: steps per window.
        stride: steps from one window to the next, at most `context`.

    Raises:
        ConfigError: if the stride is not from 1 to `context`.
    """

    has_pieces: ClassVar[bool] = True
    stream: PieceTask

    def __init__(self, stream: PieceTask, context: int, stride: int) -> None:
        super().__init__(stream, context, stride)
        self.group = stream.group
        self.spec = EventSpec((1, context, stream.step_dims), stream.domain)

    def cut(self, split: SplitName, stored: Split) -> Split:
        """The windows of `load` over whole pieces, which are loaded already.

        Raises:
            DataError: if there is no piece.
        """
        if len(stored) == 0:
            raise DataError(f"{self.name}: its {split} split has no pieces")
        assert stored.scored is not None  # see `PieceTask.load`
        lengths = stored.scored[:, 0, :, 0].sum(1).tolist()
        pieces = [piece[0, :length] for piece, length in zip(stored.events, lengths, strict=True)]
        cover = self._even_windows if split == "train" else self._overlapping_windows
        parts = [cover(piece) for piece in pieces]
        groups = torch.arange(len(parts)) if stored.groups is None else stored.groups
        groups = groups.repeat_interleave(torch.tensor([len(events) for events, _ in parts]))
        scored = torch.cat([scored for _, scored in parts])[:, None, :, None]
        events = torch.cat([events for events, _ in parts])[:, None]
        return Split(events, scored.expand(events.shape), groups)

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        """The first `len(events)` windows of train, cut anew, as the stream lets training see them.

        A window keeps its piece, and how many of its steps are padding.
        """
        windows: list[Tensor] = []
        for piece in self.stream.load_pieces("train"):
            if len(windows) >= len(events):
                break
            slack = self._num_windows(len(piece)) * self.context - len(piece)
            if len(piece) <= self.context:
                windows += self._cut(piece, torch.zeros(1, dtype=torch.int64))
                continue
            inner = torch.randint(
                slack + 1, (self._num_windows(len(piece)) - 2,), generator=generator
            )
            overlaps = torch.cat([torch.tensor([0]), inner.sort().values, torch.tensor([slack])])
            windows += self._cut(piece, torch.arange(len(overlaps)) * self.context - overlaps)
        cut = torch.stack(windows[: len(events)])[:, None]
        return self.stream.window_view(cut, generator)

    def _num_windows(self, num_steps: int) -> int:
        """How many windows cover a piece."""
        return -(-num_steps // self.context)

    def _cut(self, piece: Tensor, starts: Tensor) -> Tensor:
        """Windows `(M, context, step_dims)` from some steps on; padded if the piece fills none."""
        missing = self.context - len(piece)
        if missing > 0:
            piece = torch.cat([piece, piece.new_zeros(missing, piece.shape[1])])
        return piece.unfold(0, self.context, 1)[starts].transpose(1, 2)

    def _even_windows(self, piece: Tensor) -> tuple[Tensor, Tensor]:
        """The fewest windows that cover a piece, as far apart as each other, scored whole."""
        count = self._num_windows(len(piece))
        last = max(0, len(piece) - self.context)
        starts = torch.arange(count) * last // max(1, count - 1)
        scored = torch.arange(self.context) < len(piece)
        return self._cut(piece, starts), scored.expand(count, -1)

    def _overlapping_windows(self, piece: Tensor) -> tuple[Tensor, Tensor]:
        """The windows through which a piece is evaluated, each step scored once."""
        missing = self.context - len(piece)
        if missing > 0:
            scored = torch.arange(self.context) < len(piece)
            return self._cut(piece, torch.zeros(1, dtype=torch.int64)), scored.unsqueeze(0)
        steps = overlapping_windows(torch.arange(len(piece)), self.context, self.stride)
        assert steps.scored is not None  # of a stream
        return self._cut(piece, steps.events[:, 0]), steps.scored
