"""`images:PATH`: images of one size from an npz archive or a folder of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arbench import ArrayHeader, DataError, Discrete, DivisionRule, EventSpec
from arbench_files.archives import join, read_parts
from arbench_files.division import Array, PartName
from arbench_files.folders import read_folder
from arbench_files.splits import FileTask, one_shape, split_option

NUM_CHANNELS = (1, 3)  # grey, RGB


class ImagesTask(FileTask):
    """Images `(C, H, W)`, uint8: 256 levels, or binary if only 0 and 1 occur in all splits."""

    unit = "pixel"

    def __init__(self, argument: str) -> None:
        """Read all images.

        Args:
            argument: the path, with an optional `?split=rows` or `?split=files`. By default the
                rule is rows for an archive and files for a folder.

        Raises:
            ConfigError: for an unknown rule.
            DataError: if they are not uint8 images of one shape; one sentence with the file, the
                image, what was found and what was expected.
        """
        place, rule = split_option(argument)
        if place.is_dir():
            parts = read_folder(place)
        elif not place.exists():
            raise DataError(f"{place}: found no such file, expected an .npz file or a folder")
        elif place.suffix.lower() == ".npz":
            parts = _read_archive(place)
        else:
            raise DataError(
                f"{place}: found the extension {place.suffix!r}, expected .npz or a folder"
            )
        num_levels = 2 if all(rows.max() <= 1 for rows in parts.values()) else 256
        spec = EventSpec(one_shape(parts, place), Discrete(num_levels))
        usual: DivisionRule = "files" if place.is_dir() else "rows"
        super().__init__("images", place, spec, parts, rule=rule, usual=usual)
        if self.spec.shape[0] > 1:
            self.unit = "dim"  # a colour channel; a pixel has several


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
