"""Reads files of the user's own as events of a trained model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbench.data.formats import mu_law
from arbench.data.formats.pixels import read_pixels
from arbench.data.formats.recordings import read_recording
from arbench.data.rendering import AudioRendering, Rendering, TextRendering
from arbench.errors import DataError
from arbench.files.arrays import read_npz
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.randomness import uniforms

_KEY = "events"
Grey = Literal["refused", "half", "drawn"] | int
"""What becomes of grey pixels where events are black and white; see `OwnFiles.grey`."""


@dataclass(frozen=True)
class OwnFiles:
    """Reads files of the user's own as events of a model.

    What its events cannot say is refused, never rounded to fit. The one choice is what becomes of
    grey pixels where events are black and white.

    Attributes:
        spec: of the events.
        rendering: how the events are shown, which says what texts and sounds they are.
        grey: a grey pixel is refused; or 1 where its level is that number or more (128 for "half");
            or 1 with probability level / 255, by draws that depend on the image alone ("drawn").
            Black and white are 0 and 1 in any case.
    """

    spec: EventSpec
    rendering: Rendering
    grey: Grey = "refused"

    def archive(self, file: Path) -> Tensor:
        """The events `(N, *event_shape)` in an npz archive, under the key "events".

        Raises:
            DataError: if there are none, or they are not of that spec.
        """
        events = torch.from_numpy(read_npz(file, [_KEY])[_KEY])
        try:
            self.spec.validate(events)
        except ValueError as error:
            raise DataError(f"{file}: {error}") from error
        if len(events) == 0:
            raise DataError(f"{file}: it holds no events")
        return events.long() if isinstance(self.spec.domain, Discrete) else events.float()

    def image(self, file: Path) -> Tensor:
        """An image of the events' own size, `(C, H, W)` int64.

        Raises:
            DataError: if it is no such image.
        """
        pixels = read_pixels(file, str(file))
        if pixels.levels.shape != self.spec.shape:
            raise DataError(
                f"{file}: found {pixels.levels.shape}, and events have {self.spec.shape} channels, "
                "rows and columns"
            )
        levels = pixels.levels
        size = self.spec.domain.size if isinstance(self.spec.domain, Discrete) else 0
        if size not in (2, 256):
            raise DataError(
                f"{file}: the model knows the levels 0 to {size - 1}, and an image has 0 to 255; "
                f"give events as whole numbers under the key {_KEY!r} of an npz archive"
            )
        if size == 2 and pixels.mode != "1":
            if self.grey == "refused" and not set(levels.flatten().tolist()) <= {0, 255}:
                raise DataError(
                    f"{file}: it has grey pixels, and the model knows black and white alone; make "
                    "it black and white yourself, so that nothing is lost unnoticed"
                )
            levels = black_and_white(levels, self.grey)
        return torch.from_numpy(np.ascontiguousarray(levels)).long()

    def text(self, file: Path) -> Tensor:
        """The symbols of a text, `(N,)`, N at least 1.

        Raises:
            DataError: at the first character that is no symbol.
        """
        assert isinstance(self.rendering, TextRendering)
        return _symbols(_bytes(file), self.rendering, str(file))

    def words(self, file: Path) -> Tensor:
        """A word a line, `(N, T)` int64, each with the value that ends it, and as much padding.

        Raises:
            DataError: at the first line that is no such word.
        """
        rendering = self.rendering
        assert isinstance(rendering, TextRendering)
        assert rendering.end is not None
        end = rendering.end
        content = _bytes(file).decode(errors="replace")
        if not content.endswith("\n"):
            raise DataError(f"{file}: expected a word a line, and a line break after the last, too")
        found = []
        for number, line in enumerate(content[:-1].split("\n"), 1):
            place = f"{file}, line {number}"
            letters = _symbols(line.encode(), rendering, place).tolist() if line else []
            if len(letters) >= self.spec.num_dims or end in letters:
                raise DataError(f"{place}: longer than {self.spec.num_dims - 1} letters")
            found.append(letters + [end] * (self.spec.num_dims - len(letters)))
        return torch.tensor(found)

    def sound(self, file: Path) -> Tensor:
        """The levels of a recording, `(N,)` uint8, as the events of a task of sounds have them.

        Raises:
            DataError: if it is no recording of one channel and of that sample rate.
        """
        rendering = self.rendering
        assert isinstance(rendering, AudioRendering)
        recording = read_recording(_bytes(file), str(file))
        if recording.sample_rate != rendering.sample_rate:
            raise DataError(
                f"{file}: found {recording.sample_rate:,} samples per second, expected "
                f"{rendering.sample_rate:,}; arbench does not resample"
            )
        if rendering.companding == "mu-law":
            return torch.from_numpy(mu_law.encode(recording.amplitudes))
        if rendering.companding == "g711":
            if recording.codes is None:
                raise DataError(f"{file}: expected the telephone codes of ITU-T G.711")
            return torch.from_numpy(mu_law.from_codes(recording.codes))
        cells = np.floor(128 * (recording.amplitudes + 1)).clip(max=mu_law.NUM_LEVELS - 1)
        return torch.from_numpy(cells.astype(np.uint8))


def black_and_white(levels: NDArray[np.uint8], grey: Grey) -> NDArray[np.uint8]:
    """The grey levels of one image, 0 to 255, as 0 and 1, uint8 of the same shape.

    Args:
        levels: of the image.
        grey: as `OwnFiles.grey`; "refused" means that there is none, and "half" is 128.
    """
    if grey == "drawn":
        key = int.from_bytes(hashlib.sha256(levels.tobytes()).digest()[:8], "little")
        return (levels / 255 > uniforms(levels.size, key).reshape(levels.shape)).astype(np.uint8)
    return (levels >= (grey if isinstance(grey, int) else 128)).astype(np.uint8)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error


def _symbols(data: bytes, rendering: TextRendering, place: str) -> Tensor:
    try:
        values = np.frombuffer(data, np.uint8).copy() if rendering.symbols is None else None
        symbols = rendering.encode(data.decode()) if values is None else torch.from_numpy(values)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: expected text in UTF-8, and byte {error.start:,} is not part of any"
        ) from error
    except ValueError as error:
        raise DataError(f"{place}: {error}; the model has no probability for it") from error
    if len(symbols) == 0:
        raise DataError(f"{place}: it is empty")
    return symbols
