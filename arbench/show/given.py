"""Reads the image of `sample --given`; which dims `--rows` or `--mask` makes known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arbench.data.formats.pixels import Pixels, read_pixels
from arbench.errors import ConfigError, DataError
from arbench.probability.events import Discrete, EventSpec


def read_image(path: Path, spec: EventSpec) -> Tensor:
    """An image to complete, `(C, H, W)` int64.

    Args:
        path: an image file of the event's own height and width, grey or in colour as it is. For
            binary events a pixel is 1 where the grey level is at least 128.
        spec: what the model describes.

    Raises:
        ConfigError: if the events are no discrete images.
        DataError: if the file is no such image, or one that cannot be read exactly.
    """
    if len(spec.shape) != 3 or not isinstance(spec.domain, Discrete):
        raise ConfigError(
            f"an image file completes discrete images only, not events of {spec.shape}; give an "
            "event of the task itself, such as test:7"
        )
    if not path.is_file():
        raise DataError(
            f"{path}: not an image that can be read; an event of the task itself is given as test:7"
        )
    image = _pixels(path, spec, spec.shape[0])
    levels = image.levels.astype(np.int64) * (255 if image.mode == "1" else 1)
    return torch.from_numpy(levels * spec.domain.size // 256)


def read_mask(path: Path, spec: EventSpec) -> Tensor:
    """Which dims are known, `(C, H, W)` boolean: those of the pixels that are white in an image.

    Args:
        path: an image file of the event's own height and width, black and white alone.
        spec: of the events.

    Raises:
        ConfigError: if the events are no images.
        DataError: if the file is no such image.
    """
    if len(spec.shape) != 3:
        raise ConfigError(
            f"--mask is for images, and events of {spec.shape} are none; in Python, "
            "`arbench.sample` takes any known dims"
        )
    if not path.is_file():
        raise DataError(f"{path}: not an image that can be read")
    image = _pixels(path, spec, 1)
    white = 1 if image.mode == "1" else 255
    grey = (image.levels != 0) & (image.levels != white)
    if grey.any():
        raise DataError(
            f"{path}: found the grey level {image.levels[grey][0]}, expected a mask of black (0) "
            "and white (255) alone: white is what is known"
        )
    return torch.from_numpy(image.levels == white).expand(spec.shape).contiguous()


def _pixels(path: Path, spec: EventSpec, channels: int) -> Pixels:
    """The pixels of an image file of the events' height and width.

    Raises:
        DataError: if it has another size, or other channels.
    """
    _, height, width = spec.shape
    image = read_pixels(path, str(path))
    if len(image.levels) != channels:
        raise DataError(
            f"{path}: found mode {image.mode}, expected {'L or 1' if channels == 1 else 'RGB'}; "
            "convert it yourself, so that nothing is lost unnoticed"
        )
    if image.size != (width, height):
        found = "x".join(map(str, image.size))
        raise DataError(f"{path}: {found} pixels, expected {width}x{height}")
    return image


def known_rows(spec: EventSpec, rows: int) -> Tensor:
    """Which dims, `event_shape` boolean, are in the first rows of an image.

    Of an event that is no image, the first `rows` dims.

    Raises:
        ConfigError: if it has fewer.
    """
    axis = 1 if len(spec.shape) == 3 else 0
    if rows > spec.shape[axis]:
        has = f"an image has {spec.shape[1]} rows" if axis else f"an event has {spec.shape[0]} dims"
        raise ConfigError(f"--rows {rows}: {has}")
    known = torch.zeros(spec.shape, dtype=torch.bool)
    known.narrow(axis, 0, rows).fill_(True)
    return known
