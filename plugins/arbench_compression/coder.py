"""From events to bits and back: ANS over decisions whose odds come from the reference path.

The last that is written is the first that is read. So the writer goes through the lots from the
last to the first, and within a lot forwards, as the network does; it then pushes the lot's
decisions from the last to the first. Memory holds the decisions of one lot.

The writer of a stream knows every window, and looks at several side by side, which is several times
as fast. The reader cannot: a window begins with what the ones before it say. So their odds differ
by some 1e-14 nats, as those of two processors do.

Source: Duda, "Asymmetric numeral systems", arXiv:0902.0271, 2009; the coder is constriction's
(Bamler, arXiv:2201.01741, 2022), 64 bits of state and words of 32.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbench import ConfigError, DataError, ReferencePath
from arbench_compression import grid
from arbench_compression.content import Content, Ends, Lot, Plan
from arbench_compression.tree import values_decided

Progress = Callable[[float, str], None]
Choice = tuple[int, int, int]
"""A decision that lies close to the middle between two grid points: the number of its lot, its own
number in the lot, and 1 if the upper point was taken."""

_AT_ONCE = 1 << 18
_SIDE_BY_SIDE = 16
_WORD = np.dtype("<u4")


@dataclass(frozen=True)
class Coded:
    """Events as bits.

    Attributes:
        stack: what the coder has written; a multiple of 4 bytes with its trailing zeros left out.
        choices: in the order in which they are read.
        ideal_nats: `-log p` of each event under the float64 conditionals, `(N,)`; of a stream, of
            what each window scores.
        code_nats: what each costs with rounded odds, `(N,)`.
    """

    stack: bytes
    choices: tuple[Choice, ...]
    ideal_nats: Tensor
    code_nats: Tensor


def write(path: ReferencePath, content: Content, progress: Progress | None = None) -> Coded:
    """Code events.

    Raises:
        DataError: if one is impossible under the model.
    """
    ans, family = _constriction()
    coder = ans()
    lots = [*content.plan.lots(path.layout.spec.num_dims)]
    ideal, code, choices = [], [], list[Choice]()
    for number, lot, odds in _backwards(path, content, lots):
        written = _Written(lot.size)
        walk(odds, lot, content.values(path.layout, lot), content.plan.ends, written)
        points, bits = written.decisions()
        for end in range(len(bits), 0, -_AT_ONCE):
            some = slice(max(0, end - _AT_ONCE), end)
            coder.encode_reverse(bits[some].astype(np.int32), family, grid.weights(points[some]))
        choices[:0] = [(number, place, choice) for place, choice in written.choices]
        ideal.append(written.ideal_nats)
        code.append(written.code_nats)
        if progress is not None:
            progress(1 - number / len(lots), "")
    stack = coder.get_compressed().astype(_WORD).tobytes().rstrip(b"\0")
    return Coded(stack, tuple(choices), torch.cat(ideal[::-1]), torch.cat(code[::-1]))


def read(
    path: ReferencePath,
    plan: Plan,
    stack: bytes,
    choices: tuple[Choice, ...],
    progress: Progress | None = None,
) -> Content:
    """The events that `write` coded, if the model is the same.

    Raises:
        DataError: if they end before the bits do, or after; whether they are the right ones, their
            hash says.
    """
    ans, family = _constriction()
    words = np.frombuffer(stack + b"\0" * (-len(stack) % 4), _WORD).astype(np.uint32)
    if len(words) and words[-1] == 0:
        raise DataError("its last word is 0, which the coder never writes")
    coder = ans(words) if len(words) else ans()
    layout, ends = path.layout, plan.ends
    if ends is not None and max(ends.padding, ends.value or 0) >= layout.alphabet_size:
        raise DataError("its events end with a value that the model does not know")
    dtype = torch.uint8 if layout.alphabet_size <= 256 else torch.int64
    told: dict[int, dict[int, int]] = {}
    for number, place, choice in choices:
        told.setdefault(number, {})[place] = choice
    parts: list[Tensor] = []
    num_lots, text = plan.num_lots(layout.spec.num_dims), torch.zeros(0, dtype=torch.int64)
    for number, lot in enumerate(plan.lots(layout.spec.num_dims)):
        values = torch.zeros(lot.size, lot.num_dims, dtype=torch.int64)
        if lot.num_known:
            values[:, : lot.num_known] = text[len(text) - lot.num_known :]
        reading = _Reading(coder, family, told.pop(number, {}))
        walk(path, lot, values, plan.ends, reading)
        if reading.choices:
            raise DataError("it tells choices that nobody has to make")
        parts.append(values[:, lot.num_known :].to(dtype))
        text = values[0]
        if progress is not None:
            progress((number + 1) / num_lots, "")
    if told or not coder.is_empty():
        raise DataError("it holds more than its events")
    together = torch.cat(parts, 1).squeeze(0) if plan.windows is not None else torch.cat(parts)
    if plan.windows is None:
        sites = together.view(len(together), layout.num_sites, layout.site_dim)
        together = layout.to_events(sites)
    return Content(plan, together)


class Odds(Protocol):
    """Where odds come from: a `ReferencePath`, or what one has said before."""

    def start(self, batch_size: int) -> None:
        """See `ReferencePath.start`."""
        ...

    def log_probs(self) -> Tensor:
        """See `ReferencePath.log_probs`."""
        ...

    def tell(self, values: Tensor) -> None:
        """See `ReferencePath.tell`."""
        ...


@dataclass
class _Said:
    """What a path has said of one window, in its place.

    Attributes:
        nats: log-probabilities of all values of the dims that are coded, `(num_coded, K)`.
        num_known: dims before them.
    """

    nats: Tensor
    num_known: int
    _dim: int = field(default=0, init=False)

    def start(self, batch_size: int) -> None:
        self._dim = 0

    def log_probs(self) -> Tensor:
        return self.nats[self._dim - self.num_known][None]

    def tell(self, values: Tensor) -> None:
        self._dim += 1


def _backwards(
    path: ReferencePath, content: Content, lots: Sequence[Lot]
) -> Iterator[tuple[int, Lot, Odds]]:
    """Lots with their numbers, from the last to the first, and where their odds come from."""
    numbered = reversed([*enumerate(lots)])
    if content.plan.windows is None:
        yield from ((number, lot, path) for number, lot in numbered)
        return
    for (num_known, num_dims), alike in itertools.groupby(
        numbered, lambda each: (each[1].num_known, each[1].num_dims)
    ):
        while some := [*itertools.islice(alike, _SIDE_BY_SIDE)]:
            values = torch.cat([content.values(path.layout, lot) for _, lot in some])
            path.start(len(some))
            said = []
            for dim in range(num_dims):
                if dim >= num_known:
                    said.append(path.log_probs())
                path.tell(values[:, dim])
            for (number, lot), nats in zip(some, torch.stack(said, 1), strict=True):
                yield number, lot, _Said(nats, num_known)


class _Written:
    """The decisions of a lot, recorded for the coder.

    Args:
        size: B.
    """

    def __init__(self, size: int) -> None:
        self.ideal_nats = torch.zeros(size, dtype=torch.float64)
        self.code_nats = torch.zeros(size, dtype=torch.float64)
        self.choices: list[tuple[int, int]] = []
        self._points: list[NDArray[np.int16]] = []
        self._bits: list[NDArray[np.int8]] = []
        self._count = 0

    def values(self, log_probs: Tensor, truth: Tensor, rows: Tensor) -> Tensor:
        """The values that are true, recorded."""
        own = log_probs.gather(1, truth[:, None]).squeeze(1)
        if not bool(torch.isfinite(own).all()):
            raise DataError("the model gives an event no probability, so no file can hold it")
        self.ideal_nats[rows] -= own

        def decide(log_odds: Tensor, asked: Tensor, place: int) -> Tensor:
            bits = truth[asked] >> place & 1
            points, below, is_close = grid.rounded(log_odds)
            for number in is_close.nonzero()[0].tolist():
                self.choices.append((self._count + number, int(points[number] - below[number])))
            self.code_nats[rows[asked]] += torch.from_numpy(grid.cost(points, bits.numpy()))
            self._points.append(points.astype(np.int16))
            self._bits.append(bits.numpy().astype(np.int8))
            self._count += len(bits)
            return bits

        return values_decided(log_probs, decide)

    def decisions(self) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Grid points and bits of all decisions, in the order in which they are read."""
        empty = np.zeros(0, np.int8)
        return np.concatenate([empty, *self._points]).astype(np.int64), np.concatenate(
            [empty, *self._bits]
        )


@dataclass
class _Reading:
    """The decisions of a lot, read from the coder.

    Attributes:
        coder: constriction's.
        family: of its models.
        choices: by the number of the decision; those that were made are gone.
    """

    coder: Any
    family: Any
    choices: dict[int, int]
    _count: int = field(default=0, init=False)

    def values(self, log_probs: Tensor, truth: Tensor, rows: Tensor) -> Tensor:
        """The values that come next."""
        return values_decided(log_probs, self._decide)

    def _decide(self, log_odds: Tensor, asked: Tensor, place: int) -> Tensor:
        points, below, _ = grid.rounded(log_odds)
        if self.choices:
            for number in [*self.choices]:
                if number - self._count < len(points):
                    own = number - self._count
                    points[own] = min(below[own] + self.choices.pop(number), grid.LAST)
        self._count += len(points)
        if not len(points):
            return torch.zeros(0, dtype=torch.int64)
        bits: NDArray[np.int32] = self.coder.decode(self.family, grid.weights(points))
        return torch.from_numpy(bits).long()


def walk(
    path: Odds,
    lot: Lot,
    values: Tensor,
    ends: Ends | None,
    side: _Written | _Reading,
) -> None:
    """Go through the dims of a lot as both sides of a file do.

    Args:
        path: where odds come from.
        lot: which.
        values: `(B, num_dims)` int64, of which the reader knows the leading ones; it fills in the
            others.
        ends: how events end.
        side: that writes or reads the values of those events that have not ended.
    """
    path.start(lot.size)
    rows = torch.arange(lot.size)
    lengths = None
    if ends is not None and ends.value is None:
        lengths = torch.tensor(ends.lengths[lot.first : lot.first + lot.size])
        values[rows[lengths == 0]] = ends.padding
        rows = rows[lengths > 0]
    for dim in range(lot.num_dims if len(rows) else 0):
        if dim >= lot.num_known:
            values[rows, dim] = side.values(path.log_probs()[rows], values[rows, dim], rows)
        path.tell(values[:, dim])
        if ends is not None:
            is_end = (
                values[rows, dim] == ends.value if lengths is None else lengths[rows] == dim + 1
            )
            ended = torch.as_tensor(is_end)
            values[rows[ended], dim + 1 :] = ends.padding
            rows = rows[~ended]
            if len(rows) == 0:
                return


def _constriction() -> tuple[Any, Any]:
    """The coder's class, and the models that it is given weights for.

    Raises:
        ConfigError: if constriction is not installed.
    """
    try:
        import constriction
    except ImportError as error:
        raise ConfigError(
            "constriction, which codes, is not installed: pip install 'arbench[measure]'"
        ) from error
    stream = constriction.stream
    return stream.stack.AnsCoder, stream.model.Categorical(perfect=False)
