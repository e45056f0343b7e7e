"""`words:PATH`: words of the user's own, one a line, such as names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arbench import (
    ConfigError,
    DataError,
    Discrete,
    EventSpec,
    Rendering,
    Split,
    Task,
    TextRendering,
)
from arbench_files.argument import Argument
from arbench_files.division import Array, Indices, PartName
from arbench_files.splits import FileTask

END = 0
LONGEST = 1 << 10  # letters


@dataclass(frozen=True)
class _Words:
    """Words of a file, and the line of each."""

    file: Path
    words: Sequence[str]
    lines: Sequence[int]


class WordsTask(FileTask):
    """Words of up to 1,024 letters, one a line, each with an end, value 0; padding is not scored.

    The alphabet is that of all words, or that of a trained model that is to see them.
    """

    unit = "char"

    def __init__(self, argument: str) -> None:
        """Read all words.

        Args:
            argument: the file, with options as `Argument.read` has them, and `?lower` to read all
                letters in lower case. With `?split=files` equal words are in one split.

        Raises:
            ConfigError: for an unknown rule.
            DataError: if there are none, or one is no word; one sentence with the line.
        """
        given = Argument.read(argument, "lower")
        if given.options.get("lower"):
            raise ConfigError(f"?lower has no value, got {given.options['lower']!r}")
        is_lower = "lower" in given.options
        self._words = given.parts(lambda file: {"all": _read(file, is_lower)})
        letters = sorted({c for part in self._words.values() for word in part.words for c in word})
        longest = max(len(word) for part in self._words.values() for word in part.words)
        self._rendering = TextRendering(symbols=("\n", *letters), end=END)
        spec = EventSpec((longest + 1,), Discrete(len(letters) + 1))
        parts = _encoded(self._words, self._rendering, spec)
        super().__init__("words", given.path, spec, parts, rule=given.rule, usual="rows")

    @property
    def rendering(self) -> TextRendering:
        """The letters."""
        return self._rendering

    def as_events_of(self, spec: EventSpec, rendering: Rendering) -> Task:
        """The same words in the letters, and of the length, that a model of words knows."""
        if not isinstance(rendering, TextRendering) or rendering.end is None:
            return self
        if (spec, rendering) == (self.spec, self._rendering):
            return self
        other = self.with_parts(_encoded(self._words, rendering, spec), spec)
        other._rendering = rendering
        return other

    def events_of(self, part: PartName, indices: Indices) -> Split:
        """Words `(N, T)`; the letters and one end are scored."""
        events = super().events_of(part, indices).events
        is_end = events.eq(END if self._rendering.end is None else self._rendering.end)
        return Split(events, is_end.cumsum(1) - is_end.long() == 0)


def _read(file: Path, is_lower: bool) -> _Words:
    """The words of a file, in their order; empty lines at its end are none."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror}), expected a text file with a word a line"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: byte {error.start:,} is not UTF-8, expected a text file with a word a line"
        ) from error
    words = [line.removesuffix("\r") for line in text.split("\n")]
    while words and not words[-1]:
        words.pop()
    if not words:
        raise DataError(f"{file}: found no words, expected one a line")
    for number, word in enumerate(words, 1):
        if not word or len(word) > LONGEST or not word.isprintable():
            found = f"{len(word):,} characters" if word else "an empty line"
            raise DataError(
                f"{file}, line {number:,}: found {found}, expected a word of 1 to {LONGEST:,} "
                "characters that can be printed"
            )
    return _Words(file, [w.lower() if is_lower else w for w in words], range(1, len(words) + 1))


def _encoded(
    parts: dict[PartName, _Words], rendering: TextRendering, spec: EventSpec
) -> dict[PartName, Array]:
    """The words of each part as rows `(N, T)`, each with its end and as much padding.

    Raises:
        DataError: at the first word that the letters cannot spell, or that is too long.
    """
    assert rendering.end is not None
    encoded: dict[PartName, Array] = {}
    for part, own in parts.items():
        width = np.uint8 if rendering.num_symbols <= 256 else np.int64
        rows = np.full((len(own.words), spec.num_dims), rendering.end, width)
        for row, word, line in zip(rows, own.words, own.lines, strict=True):
            place = f"{own.file}, line {line:,}"
            if len(word) >= spec.num_dims:
                raise DataError(
                    f"{place}: found {len(word):,} letters, and the model knows words of at most "
                    f"{spec.num_dims - 1:,}"
                )
            try:
                row[: len(word)] = rendering.encode(word).numpy()
            except ValueError as error:
                hint = ""
                if word != word.lower() and not {*word.lower()} - {*(rendering.symbols or ())}:
                    hint = "; ?lower after the path reads all words in lower case"
                raise DataError(f"{place}: {error}{hint}") from error
        encoded[part] = rows
    return encoded
