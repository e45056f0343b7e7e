"""`text:PATH`: a text file of the user's own."""

from __future__ import annotations

import copy
import hashlib
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


class OwnText(StreamTask):
    """One file: the first 90 % train, 5 % validation, 5 % test.

    It is read by characters, with the alphabet of train, or by bytes, with `?bytes` after the path.
    The name is `text-` and the first 8 digits of a sha256 of the content and the way it is read,
    never the path. No result stands on a board.
    """

    version = "1"
    public = False

    def __init__(self, argument: str) -> None:
        """Read the file.

        Args:
            argument: the path, and `?bytes` after it for bytes.

        Raises:
            DataError: if it cannot be read, is not UTF-8, is too short, or has a character in
                validation or test that is not in train; one sentence with the place in the file.
        """
        by_bytes = argument.endswith(_BYTES)
        path = Path(argument.removesuffix(_BYTES)).expanduser()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror}), expected a text file"
            ) from error
        self.unit = "byte" if by_bytes else "char"
        self.source = path.resolve().name
        digest = hashlib.sha256(f"{self.unit}\n".encode() + content)
        self.name = f"text-{digest.hexdigest()[:8]}"
        if by_bytes:
            self._symbols = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
            self._rendering = TextRendering()
        else:
            self._symbols, self._rendering = _characters(content, path)
        self.domain = Discrete(self._rendering.num_symbols)
        for split in SPLITS:
            if len(self.load_stream(split)) == 0:
                raise DataError(
                    f"{path}: found {len(self._symbols)} {self.unit}s, expected enough for three "
                    "splits of 90, 5 and 5 %"
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
        other = copy.copy(self)
        try:
            other._symbols = rendering.encode(text)
        except ValueError as error:
            raise DataError(f"{self.source}: {error} of the model") from error
        other._rendering, other.domain = rendering, Discrete(rendering.num_symbols)
        other.unit = "char" if rendering.symbols else "byte"
        read = "".join(rendering.symbols or ()) + "\n" + text
        other.name = f"text-{hashlib.sha256(read.encode()).hexdigest()[:8]}"
        return other

    @property
    def rendering(self) -> Rendering:
        """Characters or bytes, as the file was read."""
        return self._rendering

    def load_stream(self, split: SplitName) -> Tensor:
        """The symbols of a split: uint8, or int64 if there are more than 256 kinds."""
        total = len(self._symbols)
        train, test = total * 9 // 10, total * 19 // 20
        start, end = {"train": (0, train), "validation": (train, test), "test": (test, total)}[
            split
        ]
        return self._symbols[start:end]


def _characters(content: bytes, path: Path) -> tuple[Tensor, TextRendering]:
    """The symbols of the text, and its rendering with the characters of the first 90 %."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start:,} is not UTF-8; read it by bytes, with text:PATH{_BYTES}"
        ) from error
    symbols = sorted(set(text[: len(text) * 9 // 10]))
    if len(symbols) < 2:
        raise DataError(f"{path}: found {len(symbols)} different characters, expected two or more")
    rendering = TextRendering(symbols=tuple(symbols))
    try:
        return rendering.encode(text), rendering
    except ValueError as error:
        raise DataError(
            f"{path}: {error}, those of train, which is the first 90 %; read it by bytes, with "
            f"text:PATH{_BYTES}"
        ) from error
