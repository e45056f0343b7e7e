"""`text:PATH`: a text file of the user's own."""

from __future__ import annotations

import copy
import hashlib
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arbench import (
    SPLITS,
    DataError,
    Discrete,
    EventSpec,
    Rendering,
    SplitName,
    StreamTask,
    Task,
    TextRendering,
)

_BYTES = "?bytes"
_OPTION = re.compile(r"(.*)\?(bytes|test=([^?]+))", re.DOTALL)


class OwnText(StreamTask):
    """One file: the first 90 % train, 5 % validation, 5 % test.

    With `?test=PATH` another file is test, and of this one the first 95 % are train.

    It is read by characters, with the alphabet of train, or by bytes, with `?bytes` after the path.
    The name is `text-` and the first 8 digits of a sha256 of the content and the way it is read,
    never the path. No result stands on a board.
    """

    version = "1"
    public = False

    def __init__(self, argument: str) -> None:
        """Read the file.

        Args:
            argument: the path; after it `?bytes` for bytes, `?test=PATH` for another file as test.

        Raises:
            DataError: if it cannot be read, is not UTF-8, is too short, or has a character in
                validation or test that is not in train; one sentence with the place in the file.
        """
        by_bytes, other = False, None
        while match := _OPTION.fullmatch(argument):
            argument, option, place = match.groups()
            by_bytes, other = by_bytes or option == "bytes", place or other
        path, test = Path(argument).expanduser(), Path(other or argument).expanduser()
        content = _content(path)
        self.unit = "byte" if by_bytes else "char"
        self.source = path.resolve().name
        digest = hashlib.sha256(f"{self.unit}\n".encode() + content)
        self._test: Tensor | None = None
        if by_bytes:
            self._symbols = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
            self._rendering = TextRendering()
        else:
            share = 18 if other is None else 19
            self._symbols, self._rendering = _characters(content, path, share)
        if other is not None:
            held_out = _content(test)
            digest.update(b"\ntest\n" + held_out)
            self.source += f", test {test.resolve().name}"
            self._test = (
                torch.from_numpy(np.frombuffer(held_out, np.uint8).copy())
                if by_bytes
                else _encoded(_decoded(held_out, test), self._rendering, test)
            )
        self.name = f"text-{digest.hexdigest()[:8]}"
        self.domain = Discrete(self._rendering.num_symbols)
        for split in SPLITS:
            if len(self.load_stream(split)) == 0:
                where = test if split == "test" else path
                raise DataError(
                    f"{where}: found {len(self._symbols)} {self.unit}s, expected enough for three "
                    "splits of 90, 5 and 5 %"
                    if other is None
                    else f"{where}: found no {self.unit} for {split}, expected some in each split"
                )

    def as_events_of(self, spec: EventSpec, rendering: Rendering) -> Task:
        """The same text in the alphabet that a model of texts knows."""
        if not isinstance(rendering, TextRendering) or rendering.end is not None:
            return self
        if rendering == self._rendering:
            return self
        if self._rendering.symbols is None:
            raise DataError(
                f"{self.source} is read by bytes, and the model knows characters: leave out "
                f"{_BYTES}"
            )
        text = self._rendering.decode(self._symbols)
        held_out = "" if self._test is None else self._rendering.decode(self._test)
        other = copy.copy(self)
        try:
            other._symbols = rendering.encode(text)
            other._test = None if self._test is None else rendering.encode(held_out)
        except ValueError as error:
            raise DataError(f"{self.source}: {error} of the model") from error
        other._rendering, other.domain = rendering, Discrete(rendering.num_symbols)
        other.unit = "char" if rendering.symbols else "byte"
        read = "".join(rendering.symbols or ()) + "\n" + text
        read += "" if self._test is None else f"\ntest\n{held_out}"
        other.name = f"text-{hashlib.sha256(read.encode()).hexdigest()[:8]}"
        return other

    @property
    def rendering(self) -> Rendering:
        """Characters or bytes, as the file was read."""
        return self._rendering

    def load_stream(self, split: SplitName) -> Tensor:
        """The symbols of a split: uint8, or int64 if there are more than 256 kinds."""
        total = len(self._symbols)
        if self._test is not None:
            if split == "test":
                return self._test
            train, test = total * 19 // 20, total
        else:
            train, test = total * 9 // 10, total * 19 // 20
        start, end = {"train": (0, train), "validation": (train, test), "test": (test, total)}[
            split
        ]
        return self._symbols[start:end]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}), expected a text file"
        ) from error


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start:,} is not UTF-8; read it by bytes, with text:PATH{_BYTES}"
        ) from error


def _characters(content: bytes, path: Path, share: int) -> tuple[Tensor, TextRendering]:
    """The symbols of the text, and its rendering with the characters of its twentieths in train."""
    text = _decoded(content, path)
    symbols = sorted(set(text[: len(text) * share // 20]))
    if len(symbols) < 2:
        raise DataError(f"{path}: found {len(symbols)} different characters, expected two or more")
    rendering = TextRendering(symbols=tuple(symbols))
    return _encoded(text, rendering, path), rendering


def _encoded(text: str, rendering: TextRendering, path: Path) -> Tensor:
    """The symbols of a text in the alphabet of train."""
    try:
        return rendering.encode(text)
    except ValueError as error:
        raise DataError(
            f"{path}: {error}, those of train; read it by bytes, with text:PATH{_BYTES}"
        ) from error
