"""Pictures of events: a grid of images as PNG, rows of a table as text; and images to complete."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from arbench.errors import ConfigError, DataError
from arbench.probability.events import Discrete, EventSpec

_GAP = 2
_MIN_SIDE = 600
_GIVEN_COLOUR = (230, 120, 0)


def output_path(path: Path | None, spec: EventSpec) -> Path:
    """Where events can be written; ask before drawing them, which may take long.

    Args:
        path: the file asked for; None is `samples.png` or `samples.csv` in the current folder.
        spec: of the events.

    Raises:
        ConfigError: if nothing can be written there or the ending does not fit.
    """
    is_image = len(spec.shape) == 3
    path = path or Path("samples.png" if is_image else "samples.csv")
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; give a file in it, such as {path / 'samples.png'}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.parent} does not exist; create it first")
    if path.suffix.lower() not in ((".png",) if is_image else (".csv", ".txt")):
        wanted = "images are written as .png" if is_image else "rows are written as .csv or .txt"
        raise ConfigError(f"{path}: {wanted}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"{path}: you may not write there; choose another place")
    if is_image and (spec.shape[0] not in (1, 3) or not isinstance(spec.domain, Discrete)):
        raise ConfigError(f"only discrete images of 1 or 3 channels can be drawn, not {spec}")
    return path


def save_samples(
    path: Path | None, events: Tensor, spec: EventSpec, *, known: Tensor | None = None
) -> Path:
    """Write events as people like to look at them: a PNG grid for images, else lines of text.

    A csv has a comma between the values and no header; `table:PATH` reads it. In a txt it is a
    space.

    Args:
        path: the file; see `output_path`.
        events: `(B, *event_shape)`.
        spec: their spec.
        known: `event_shape` boolean, which dims were given; a picture marks them.

    Returns:
        The file written.

    Raises:
        ConfigError: if nothing can be written there or the ending does not fit.
    """
    path = output_path(path, spec)
    if len(spec.shape) == 3:
        draw_grid(events, spec, known=known).save(path)
    else:
        between = "," if path.suffix.lower() == ".csv" else " "
        lines = (between.join(map(str, row)) for row in events.tolist())
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read_image(path: Path, spec: EventSpec) -> Tensor:
    """An image to complete, `(C, H, W)` int64.

    Args:
        path: an image file of the event's own height and width. For binary events a pixel is 1
            where the grey level is at least 128.
        spec: what the model describes.

    Raises:
        ConfigError: if the events are no discrete images.
        DataError: if the file is no image of that size.
    """
    if len(spec.shape) != 3 or not isinstance(spec.domain, Discrete):
        raise ConfigError(
            f"an image file completes discrete images only, not events of {spec.shape}; give an "
            "event of the task itself, such as test:7"
        )
    channels, height, width = spec.shape
    try:
        image = Image.open(path).convert("L" if channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(
            f"{path}: not an image that can be read ({error}); an event of the task itself is "
            "given as test:7"
        ) from error
    if image.size != (width, height):
        raise DataError(f"{path}: {image.width}x{image.height} pixels, expected {width}x{height}")
    size = spec.domain.size
    levels = np.asarray(image).astype(np.int64).reshape(height, width, channels)
    return torch.from_numpy(levels * size // 256).permute(2, 0, 1)


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


def draw_grid(
    events: Tensor,
    spec: EventSpec,
    *,
    columns: int | None = None,
    known: Tensor | None = None,
) -> Image.Image:
    """A grid of images, enlarged by a whole factor so that pixels stay sharp.

    Args:
        events: `(B, C, H, W)` discrete, with C 1 or 3.
        spec: their spec.
        columns: images per row; by default the grid is nearly square.
        known: `(C, H, W)` boolean; rows that were given have an orange edge left and right, in
            the gap, so that no pixel is painted over.
    """
    if len(spec.shape) != 3 or spec.shape[0] not in (1, 3):
        raise ValueError(f"only images with 1 or 3 channels can be drawn, got {spec.shape}")
    if not isinstance(spec.domain, Discrete):
        raise ValueError("only discrete images can be drawn")
    channels, height, width = spec.shape
    columns = columns or math.ceil(math.sqrt(len(events)))
    rows = math.ceil(len(events) / columns)
    levels = events.cpu().numpy().astype(np.float64) * (255 / (spec.domain.size - 1))
    tiles = np.round(levels).astype(np.uint8).transpose(0, 2, 3, 1)
    # Between the tiles: mid-grey, which neither ink nor paper of binary images is.
    shape = (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, channels)
    canvas = np.full(shape, 96, dtype=np.uint8)
    given = None if known is None else np.flatnonzero(known.cpu().numpy().all((0, 2)))
    if given is not None:
        canvas = np.repeat(canvas, 3 // channels, axis=-1)
    for index, tile in enumerate(tiles):
        top = _GAP + (index // columns) * (height + _GAP)
        left = _GAP + (index % columns) * (width + _GAP)
        canvas[top : top + height, left : left + width] = tile
        if given is not None:
            canvas[(top + given)[:, None], [left - 1, left + width]] = _GIVEN_COLOUR
    image = Image.fromarray(canvas.squeeze(-1) if canvas.shape[-1] == 1 else canvas)
    factor = max(1, _MIN_SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
