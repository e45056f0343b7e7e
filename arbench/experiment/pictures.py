"""Pictures of events: a grid of images as PNG, rows of a table as text; and images to complete."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from arbench.errors import ConfigError, DataError
from arbench.probability.events import Discrete, EventSpec

_GAP = 2
_MIN_SIDE = 600


def save_samples(path: Path | None, events: Tensor, spec: EventSpec) -> Path:
    """Write events as people like to look at them: a PNG grid for images, else lines of text.

    Args:
        path: the file; None is `samples.png` or `samples.txt` in the current folder.
        events: `(B, *event_shape)`.
        spec: their spec.

    Returns:
        The file written.

    Raises:
        ConfigError: if the folder does not exist or the ending does not fit.
    """
    is_image = len(spec.shape) == 3
    path = path or Path("samples.png" if is_image else "samples.txt")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.parent} does not exist; create it first")
    if is_image != (path.suffix.lower() == ".png"):
        wanted = "images are written as .png" if is_image else "rows of a table are written as .txt"
        raise ConfigError(f"{path}: {wanted}")
    if is_image:
        draw_grid(events, spec).save(path)
    else:
        lines = (" ".join(map(str, row)) for row in events.tolist())
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read_image(path: Path, spec: EventSpec, rows: int) -> tuple[Tensor, Tensor]:
    """An image to complete, and which of its dims are known.

    Args:
        path: an image file of the event's own height and width. For binary events a pixel is 1
            where the grey level is at least 128.
        spec: what the model describes.
        rows: how many rows from the top are known.

    Returns:
        The event `(C, H, W)` int64, and `(C, H, W)` boolean.

    Raises:
        ConfigError: if the events are no discrete images or have fewer rows.
        DataError: if the file is no image of that size.
    """
    if len(spec.shape) != 3 or not isinstance(spec.domain, Discrete):
        raise ConfigError(f"only discrete images can be completed, not events of {spec.shape}")
    channels, height, width = spec.shape
    if rows > height:
        raise ConfigError(f"--rows {rows}: an image has {height} rows")
    try:
        image = Image.open(path).convert("L" if channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: not an image that can be read: {error}") from error
    if image.size != (width, height):
        raise DataError(f"{path}: {image.width}x{image.height} pixels, expected {width}x{height}")
    size = spec.domain.size
    levels = np.asarray(image).astype(np.int64).reshape(height, width, channels)
    event = torch.from_numpy(levels * size // 256).permute(2, 0, 1)
    known = torch.zeros(spec.shape, dtype=torch.bool)
    known[:, :rows] = True
    return event, known


def draw_grid(events: Tensor, spec: EventSpec, *, columns: int | None = None) -> Image.Image:
    """A grid of images, enlarged by a whole factor so that pixels stay sharp.

    Args:
        events: `(B, C, H, W)` discrete, with C 1 or 3.
        spec: their spec.
        columns: images per row; by default the grid is nearly square.
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
    for index, tile in enumerate(tiles):
        top = _GAP + (index // columns) * (height + _GAP)
        left = _GAP + (index % columns) * (width + _GAP)
        canvas[top : top + height, left : left + width] = tile
    image = Image.fromarray(canvas.squeeze(-1) if channels == 1 else canvas)
    factor = max(1, _MIN_SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
