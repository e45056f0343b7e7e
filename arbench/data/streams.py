"""Text as one long stream: windows with their `context` and `stride`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from arbench.data.rendering import Rendering, TableRendering
from arbench.data.tasks import SPLITS, Split, SplitName, Task
from arbench.errors import ConfigError, DataError, PluginError
from arbench.probability.events import Discrete, EventSpec


@dataclass(frozen=True)
class Windows:
    """How a stream is scored: windows of `context` symbols that start `stride` symbols apart."""

    context: int
    stride: int


@dataclass(frozen=True)
class PieceWindows(Windows):
    """How pieces are scored: windows of whole steps, which `context` and `stride` count.

    Attributes:
        step_dims: dims in a step.
    """

    step_dims: int


class StreamTask(Task):
    """A task whose splits are one long sequence each, such as a text.

    How much of it a model sees at once is no fact about the data: a recipe's `[stream]` section
    says it, and `windows` makes the task of events that everything else works with.

    Attributes:
        domain: of every symbol.
    """

    domain: Discrete
    needs_windows = True

    @property
    def rendering(self) -> Rendering:
        """How windows are shown; values, unless the task knows better."""
        return TableRendering()

    @abstractmethod
    def load_stream(self, split: SplitName) -> Tensor:
        """All symbols of a split in order, `(N,)` uint8 or int64, each in [0, K).

        Raises:
            DataError: if the data are missing or damaged.
        """

    def load(self, split: SplitName) -> Split:
        """The whole split as a single event, `(1, N)`; this is what the data's hash is of."""
        return Split(self.load_stream(split).unsqueeze(0))

    def windows(self, context: int, stride: int) -> WindowedTask:
        """This task, seen through windows of `context` symbols; see `WindowedTask`."""
        return WindowedTask(self, context, stride)


class WindowedTask(Task):
    """A stream as events `(context,)`.

    Training sees windows side by side, in every epoch cut anew from a random place on, the stream
    taken as a ring: every symbol once per epoch, wherever in its window, but for the last `N mod
    context` of the split, which fill no window. (Crops at random places miss more than a third of
    the symbols in an epoch and see others twice.) Validation and test are windows that start
    `stride` symbols apart, of which only the last `stride` symbols are scored (all of the first
    window's), so that every symbol of the split is scored exactly once, with at least
    `context - stride` symbols before it wherever there are that many. A window's scored symbols are
    one contiguous block; standard errors are over longer blocks, found from the values, since
    windows that follow one another are not independent (`arbench.measure.statistics.blocks`).

    Args:
        stream: the task to look at.
        context: symbols per window.
        stride: symbols from one window to the next, at most `context`.

    Raises:
        ConfigError: if the stride is not from 1 to `context`.
        PluginError: if the stream has a training view of its own.
    """

    is_windowed = True

    def __init__(self, stream: StreamTask, context: int, stride: int) -> None:
        if not 1 <= stride <= context:
            raise ConfigError(
                f"a stride is from 1 to the context, got stride {stride} and context {context}"
            )
        if stream.has_training_view:
            raise PluginError(
                f"{stream.name}: training cuts a stream into new windows in every epoch and "
                "never calls training_view: remove training_view from the task"
            )
        self.stream = stream
        self.context = context
        self.stride = stride
        self.name, self.version = stream.name, stream.version
        self.unit, self.source = stream.unit, stream.source
        self.division = stream.division
        self.group = "block"
        self.pinned, self.public, self.files = stream.pinned, stream.public, stream.files
        self.spec = EventSpec((context,), stream.domain)

    @property
    def rendering(self) -> Rendering:
        """That of the stream."""
        return self.stream.rendering

    def load(self, split: SplitName) -> Split:
        """Windows `(N, context)`: side by side for training, overlapping for evaluation."""
        return self.cut(split, self.stream.load(split))

    def cut(self, split: SplitName, stored: Split) -> Split:
        """The windows of `load` over a split of the stream, which is loaded already.

        Raises:
            DataError: if it fills no window.
        """
        symbols = stored.events[0]
        if len(symbols) < self.context:
            shortest = min(len(self.stream.load_stream(name)) for name in SPLITS)
            raise DataError(
                f"{self.name}: its {split} split has {len(symbols):,} symbols, fewer than the "
                f"context of {self.context:,}; set a smaller one, such as --set "
                f"stream.context={shortest} --set stream.stride={max(1, shortest // 2)}"
            )
        if split == "train":
            whole = len(symbols) // self.context * self.context
            return Split(symbols[:whole].view(-1, self.context))
        return overlapping_windows(symbols, self.context, self.stride)

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        """The windows laid end to end as a ring, cut from a random place on."""
        shift = int(torch.randint(events.numel(), (), generator=generator))
        return events.flatten().roll(-shift).view_as(events)


def as_events(task: Task, split: SplitName, stored: Split) -> Split:
    """What a task has stored of a split, as events: a stream through its windows."""
    return task.cut(split, stored) if isinstance(task, WindowedTask) else stored


def overlapping_windows(symbols: Tensor, context: int, stride: int) -> Split:
    """Windows `(M, context)` over symbols `(N,)`, N at least `context`, each symbol scored once."""
    last = len(symbols) - context
    starts = torch.tensor([*range(0, last, stride), last])
    before = torch.cat([torch.zeros(1, dtype=torch.int64), starts[:-1] + context])
    place = starts.unsqueeze(1) + torch.arange(context)
    scored = place >= before.unsqueeze(1)
    return Split(symbols.unfold(0, context, 1)[starts], scored, is_stream=True)


def text_windows(symbols: Tensor, windows: Windows) -> Split:
    """The windows through which a text of any length is evaluated, each symbol scored once.

    A text that fills no window is padded at its end; what is behind it changes nothing for a model
    that reads from left to right.

    Args:
        symbols: `(N,)`, N at least 1.
        windows: of the model.
    """
    missing = windows.context - len(symbols)
    if missing <= 0:
        return overlapping_windows(symbols, windows.context, windows.stride)
    padded = torch.cat([symbols, symbols.new_zeros(missing)])
    scored = torch.arange(windows.context) < len(symbols)
    return Split(padded.unsqueeze(0), scored.unsqueeze(0), is_stream=True)
