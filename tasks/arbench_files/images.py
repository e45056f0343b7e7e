"""`images:PATH`: images of one size from an npz archive or a folder of files."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from arbench import (
    ArrayHeader,
    ConfigError,
    DataError,
    Discrete,
    DivisionRule,
    EventSpec,
    ImageRendering,
    Rendering,
    Task,
    black_and_white,
)
from arbench_files.archives import join, read_parts
from arbench_files.argument import Argument
from arbench_files.division import Array, PartName
from arbench_files.folders import read_folder
from arbench_files.splits import FileTask, one_shape

NUM_CHANNELS = (1, 3)  # grey, RGB
_Grey = Literal["drawn"] | int  # as `ImageRendering.grey`


class ImagesTask(FileTask):
    """Images `(C, H, W)`, uint8: 256 levels, or binary if only 0 and 1 occur in all splits.

    Grey levels become black and white where the user says how, or where a model that knows nothing
    else is to see them.
    """

    unit = "pixel"

    def __init__(self, argument: str) -> None:
        """Read all images.

        Args:
            argument: the path, with options as `Argument.read` has them. The rule of division is
                rows for an archive and files for a folder. `?threshold=N` makes levels from N on 1
                and others 0; `?draw` makes a level 1 with probability level / 255.

        Raises:
            ConfigError: for an unknown rule or a threshold that is no level.
            DataError: if they are not uint8 images of one shape; one sentence with the file, the
                image, what was found and what was expected.
        """
        given = Argument.read(argument, "threshold", "draw")
        place, self._grey = given.path, _grey_option(given.options)
        parts = given.parts(_read)
        num_levels = 2 if all(rows.max() <= 1 for rows in parts.values()) else 256
        if self._grey is not None and num_levels == 256:
            parts, num_levels = _binary(parts, self._grey), 2
        spec = EventSpec(one_shape(parts, place), Discrete(num_levels))
        usual: DivisionRule = "files" if place.is_dir() else "rows"
        super().__init__("images", place, spec, parts, rule=given.rule, usual=usual)
        if self.spec.shape[0] > 1:
            self.unit = "dim"  # a colour channel; a pixel has several

    @property
    def rendering(self) -> Rendering:
        """Images, and how they were made black and white."""
        natural = super().rendering
        return ImageRendering(grey=self._grey) if isinstance(natural, ImageRendering) else natural

    def as_events_of(self, spec: EventSpec, rendering: Rendering) -> Task:
        """Grey levels as black and white, as the model's own events became it; from 128 on else."""
        if self.spec.domain == spec.domain or spec.domain != Discrete(2):
            return self
        grey = rendering.grey if isinstance(rendering, ImageRendering) else None
        arrays = {part: np.asarray(rows) for part, rows in self._parts.items()}
        other = copy.copy(self)
        other._grey = grey or 128
        return other.with_parts(
            _binary(arrays, other._grey), EventSpec(self.spec.shape, Discrete(2))
        )


def _grey_option(options: Mapping[str, str]) -> _Grey | None:
    """How grey levels become black and white; None if the user does not say.

    Raises:
        ConfigError: if the threshold is no level, or both ways are asked for.
    """
    if "draw" in options:
        if options["draw"] or "threshold" in options:
            raise ConfigError("?draw stands alone: it has no value, and no ?threshold beside it")
        return "drawn"
    if "threshold" not in options:
        return None
    text = options["threshold"]
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 255):
        raise ConfigError(f"?threshold={text} is no level of grey, expected 1 to 255")
    return int(text)


def _binary(parts: Mapping[PartName, Array], grey: _Grey) -> dict[PartName, Array]:
    """The images of each part, 0 and 1."""
    return {
        part: np.stack([black_and_white(levels, grey) for levels in images])
        for part, images in parts.items()
    }


def _read(place: Path) -> dict[PartName, Array]:
    """The images of each part, at a place of the user's."""
    if place.is_dir():
        return read_folder(place)
    if not place.exists():
        raise DataError(f"{place}: found no such file, expected an .npz file or a folder")
    if place.suffix.lower() == ".npz":
        return _read_archive(place)
    raise DataError(f"{place}: found the extension {place.suffix!r}, expected .npz or a folder")


def _read_archive(file: Path) -> dict[PartName, Array]:
    parts = read_parts(file, min_ndim=3, check=lambda key, header: _check(header, key, file))
    return {
        name: join({key: _channels_first(array) for key, array in arrays.items()}, file)
        for name, arrays in parts.items()
    }


def _check(header: ArrayHeader, key: str, file: Path) -> None:
    """Refuse arrays that are not uint8 images, and images whose channel axis is not clear.

    The channel axis is the second or the last one, whichever has 1 or 3 entries. If both have,
    nothing in the array tells which it is.
    """
    place = f"{file}: {key!r}"
    if header.dtype not in (np.uint8, np.bool_):
        raise DataError(
            f"{place} has dtype {header.dtype}, expected uint8 (values are never rescaled here)"
        )
    shape = header.shape
    if len(shape) not in (3, 4) or 0 in shape:
        raise DataError(
            f"{place} has shape {shape}, expected (N, H, W), (N, C, H, W) or (N, H, W, C)"
        )
    if len(shape) == 3:
        return
    first, last = shape[1] in NUM_CHANNELS, shape[3] in NUM_CHANNELS
    if first and last:
        raise DataError(
            f"{place} has shape {shape}, which may be (N, C, H, W) or (N, H, W, C): expected "
            "1 or 3 channels at one end only; for grey images leave the channel axis out"
        )
    if not first and not last:
        raise DataError(
            f"{place} has shape {shape}, expected 1 or 3 channels on the second or the last axis"
        )


def _channels_first(array: Array) -> Array:
    """The array as `(N, C, H, W)` uint8, whichever end the channels are at."""
    pixels = array.astype(np.uint8, copy=False)
    if pixels.ndim == 3:
        return pixels[:, None]
    return pixels if pixels.shape[1] in NUM_CHANNELS else pixels.transpose(0, 3, 1, 2)
