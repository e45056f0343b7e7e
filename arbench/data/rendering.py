"""How a task shows its events: as images, tables, text, audio or music.

A task states its rendering and a run's configuration keeps it, so that samples can be shown where
the data are not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor

from arbench.data.formats import mu_law
from arbench.data.units import NUM_KEYS
from arbench.files.documents import Finite, Line, Part
from arbench.probability.events import Discrete, EventSpec

_LEVELS = 256
_MOST_SAID = 12  # columns


class ImageRendering(Part):
    """A grid of images of 1 or 3 channels; `.png`.

    Attributes:
        grey: how levels became black and white: 1 from that level on, or with probability level /
            255 ("drawn"); None where the data have those levels, or the task says it itself.
    """

    kind: Literal["image"] = "image"
    grey: Literal["drawn"] | Annotated[int, Field(ge=1, le=255)] | None = None

    def __str__(self) -> str:
        """How pixels became black and white, in a few words; empty if nobody said."""
        if self.grey is None:
            return ""
        if self.grey == "drawn":
            return "1 with probability grey level / 255, drawn once for each image"
        return f"1 where the grey level is {self.grey} or more"

    def check(self, spec: EventSpec) -> None:
        """Nothing, if events of that spec can be shown like this; every rendering has it.

        Raises:
            ValueError: if they cannot; one sentence that says why.
        """
        if natural_rendering(spec).kind != self.kind:
            raise ValueError(f"only discrete images of 1 or 3 channels can be drawn, not {spec}")


class TableColumn(Part):
    """How the values of a dim are written: as a category's label, or as a number in its own unit.

    Attributes:
        name: of the column; None if nobody named it.
        labels: of each value of a discrete dim; None for real ones.
        mean: what a real value of 0 is in the column's unit.
        scale: how much a difference of 1 is.
        decimals: digits behind the point of real values; None for as many as float32 has.
    """

    name: Line | None = None
    labels: Annotated[tuple[Line, ...], Field(min_length=2, max_length=1 << 20)] | None = None
    mean: Finite = 0.0
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    decimals: Annotated[int, Field(ge=0, le=12)] | None = None

    def written(self, values: NDArray[np.float64]) -> list[str]:
        """The values `(N,)` of events as text."""
        if self.labels is not None:
            return [self.labels[int(value)] for value in values]
        numbers = (self.mean + self.scale * values).tolist()
        if self.decimals is None:
            return [f"{number:.7g}" for number in numbers]
        # Adding 0 leaves no minus before a number that was rounded to it.
        return [f"{round(number, self.decimals) + 0.0:.{self.decimals}f}" for number in numbers]


class TableRendering(Part):
    """A line of values per event; `.csv` or `.txt`.

    Attributes:
        columns: how each dim is written; None for the values themselves, without a header.
    """

    kind: Literal["table"] = "table"
    columns: tuple[TableColumn, ...] | None = None

    def check(self, spec: EventSpec) -> None:
        """See `ImageRendering.check`; without columns any values can be written down."""
        if self.columns is None:
            return
        domains = spec.dim_domains
        if len(domains) == 1:
            domains *= spec.num_dims
        sizes = [domain.size if isinstance(domain, Discrete) else None for domain in domains]
        found = [None if own.labels is None else len(own.labels) for own in self.columns]
        if found != sizes:
            raise ValueError(f"{len(found)} columns of other values are no rendering of {spec}")

    def __str__(self) -> str:
        """What the columns hold, in a few words; empty if nobody said."""
        kinds = [
            f"{own.name or number} {'real' if own.labels is None else len(own.labels)}"
            for number, own in enumerate(self.columns or ())
        ]
        more = [f"{len(kinds) - _MOST_SAID:,} more"] if len(kinds) > _MOST_SAID else []
        return ", ".join(kinds[:_MOST_SAID] + more)

    @property
    def header(self) -> list[str] | None:
        """The names of the columns; None if not all have one."""
        names = [column.name for column in self.columns or ()]
        return [name for name in names if name is not None] if all(names) and names else None

    def rows(self, events: Tensor) -> list[list[str]]:
        """The fields of events `(N, ...)`, a list for each."""
        flat = events.flatten(1)
        if self.columns is None:
            return [[*map(str, row)] for row in flat.tolist()]
        values = flat.cpu().double().numpy()
        written = [own.written(column) for own, column in zip(self.columns, values.T, strict=True)]
        return [[*row] for row in zip(*written, strict=True)]


class TextRendering(Part):
    """Symbols of a text; `.txt`.

    Attributes:
        symbols: the character of each value; None for values that are bytes of UTF-8.
        end: the value that ends an event; what follows it is padding. None if nothing does.
    """

    kind: Literal["text"] = "text"
    symbols: Annotated[tuple[str, ...], Field(min_length=2, max_length=0x110000)] | None = None
    end: Annotated[int, Field(ge=0)] | None = None

    @field_validator("symbols")
    @classmethod
    def _are_different_characters(cls, symbols: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for symbol in symbols or ():
            if len(symbol) != 1 or 0xD800 <= ord(symbol) < 0xE000:
                raise ValueError(f"a symbol is one character, got {symbol!r}")
        if symbols is not None and len(set(symbols)) < len(symbols):
            raise ValueError("a character stands for one value only")
        return symbols

    @property
    def num_symbols(self) -> int:
        """K, the size of the alphabet."""
        return _LEVELS if self.symbols is None else len(self.symbols)

    def check(self, spec: EventSpec) -> None:
        """See `ImageRendering.check`."""
        if spec.domain != Discrete(self.num_symbols) or len(spec.shape) != 1:
            raise ValueError(f"a text of {self.num_symbols} symbols is no rendering of {spec}")
        if self.end is not None and self.end >= self.num_symbols:
            raise ValueError(f"the end, {self.end}, is none of {self.num_symbols} symbols")

    def decode(self, values: Tensor) -> str:
        """The text of one event up to its end; bytes that are no UTF-8 become U+FFFD.

        Args:
            values: `(T,)` integers in [0, K).
        """
        numbers = values.tolist()
        if self.end is not None and self.end in numbers:
            numbers = numbers[: numbers.index(self.end)]
        if self.symbols is None:
            return bytes(numbers).decode("utf-8", errors="replace")
        return "".join(self.symbols[number] for number in numbers)

    def encode(self, text: str) -> Tensor:
        """The values `(N,)` of a text, uint8, or int64 for more than 256 symbols.

        Raises:
            ValueError: at the first character that is no symbol, with its offset.
        """
        if self.symbols is None:
            return torch.from_numpy(np.frombuffer(text.encode("utf-8"), np.uint8).copy())
        # A table over code points: a text of a hundred million characters is encoded in seconds.
        points = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), np.uint32)
        known = np.array([ord(symbol) for symbol in self.symbols])
        width = np.int16 if len(known) <= _LEVELS else np.int64
        values: NDArray[np.integer[Any]] = np.full(
            max(int(points.max(initial=0)), int(known.max())) + 1, -1, width
        )
        values[known] = np.arange(len(known))
        encoded = values[points]
        if (encoded < 0).any():
            offset = int((encoded < 0).argmax())
            raise ValueError(
                f"the character {text[offset]!r} at offset {offset:,} is none of the "
                f"{len(self.symbols)} known ones"
            )
        return torch.from_numpy(encoded.astype(np.uint8 if len(known) <= _LEVELS else np.int64))


class AudioRendering(Part):
    """Sound of one channel; `.wav`, with a picture of the waveforms beside it.

    Attributes:
        sample_rate: samples per second.
        companding: what the 256 levels are; see `arbench.data.formats.mu_law`. "g711" levels are
            codes of telephones, "linear" ones are equally wide cells of [-1, 1].
    """

    kind: Literal["audio"] = "audio"
    sample_rate: Annotated[int, Field(ge=1, le=1 << 20)]
    companding: Literal["mu-law", "g711", "linear"]

    def check(self, spec: EventSpec) -> None:
        """See `ImageRendering.check`."""
        if spec.domain != Discrete(_LEVELS) or len(spec.shape) != 1:
            raise ValueError(f"sound has {_LEVELS} levels, it is no rendering of {spec}")

    def amplitudes(self, levels: Tensor) -> NDArray[np.float64]:
        """The middle of each level's cell, or a code's, float64 in (-1, 1), of the same shape."""
        values = levels.cpu().numpy()
        if self.companding == "mu-law":
            return mu_law.decode(values)
        if self.companding == "g711":
            return mu_law.decode_codes(values)
        return (values.astype(np.float64) + 0.5) / (_LEVELS // 2) - 1


class MusicRendering(Part):
    """Steps in time of a piano's keys; `.mid`, with a sound and a picture of piano rolls beside it.

    Attributes:
        steps_per_beat: how many steps a quarter note has.
        beats_per_minute: the tempo at which it is played.
    """

    kind: Literal["music"] = "music"
    steps_per_beat: Annotated[int, Field(ge=1, le=64)]
    beats_per_minute: Annotated[float, Field(ge=4, le=1000)] = 120.0

    def check(self, spec: EventSpec) -> None:
        """See `ImageRendering.check`."""
        is_roll = len(spec.shape) == 3 and (spec.shape[0], spec.shape[2]) == (1, NUM_KEYS)
        if spec.domain != Discrete(2) or not is_roll:
            raise ValueError(f"music is (1, steps, {NUM_KEYS}) binary dims, not {spec}")

    def pieces(self, events: Tensor) -> list[NDArray[np.bool_]]:
        """The steps `(steps, 88)` of events `(B, 1, steps, 88)`, up to the last that is not silent.

        Silence alone is one step.
        """
        rolls = events[:, 0].cpu().numpy().astype(np.bool_)
        lengths = [max([1, *(np.flatnonzero(roll.any(1)) + 1)]) for roll in rolls]
        return [roll[:length] for roll, length in zip(rolls, lengths, strict=True)]


Rendering = Annotated[
    ImageRendering | TableRendering | TextRendering | AudioRendering | MusicRendering,
    Field(discriminator="kind"),
]
"""How the events of a task are shown: one of these."""


def natural_rendering(spec: EventSpec) -> Rendering:
    """The rendering of events of which nothing else is stated: images if they can be drawn."""
    has_pixels = len(spec.shape) == 3 and spec.shape[0] in (1, 3)
    is_drawable = has_pixels and isinstance(spec.domain, Discrete)
    return ImageRendering() if is_drawable else TableRendering()
