"""Draws image grids and waveforms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from arbench.files.atomic import atomic_path
from arbench.probability.events import Discrete, EventSpec

_GAP = 2
_MIN_SIDE = 600
_GIVEN_COLOUR = (230, 120, 0)
_WAVE_WIDTH, _WAVE_HEIGHT, _MOST_WAVES = 800, 60, 8


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture atomically as PNG."""
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


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


def loudest(amplitudes: NDArray[np.float64]) -> float:
    """The largest amplitude, or a twentieth where all are quieter: silence stays a line."""
    return max(float(np.abs(amplitudes).max()), 0.05)


def draw_waveforms(amplitudes: NDArray[np.float64], *, peak: float | None = None) -> Image.Image:
    """The first few sounds below one another: in every column, from the lowest to the highest.

    Args:
        amplitudes: `(B, T)` in [-1, 1].
        peak: the amplitude that fills a row, the same one for all, so that loud and quiet can be
            told apart; by default that of the `loudest` shown.
    """
    shown = amplitudes[:_MOST_WAVES]
    shown = shown / (peak or loudest(shown))
    canvas = np.full((len(shown) * _WAVE_HEIGHT, _WAVE_WIDTH), 255, dtype=np.uint8)
    edges = np.linspace(0, shown.shape[1], _WAVE_WIDTH + 1)
    for row, wave in enumerate(shown):
        for column in range(_WAVE_WIDTH):
            # Each column reaches into the next sample, so that the line has no gaps.
            first, last = int(edges[column]), math.ceil(edges[column + 1]) + 1
            piece = 0.5 * (1 - wave[first:last]) * (_WAVE_HEIGHT - 1)
            top, bottom = (row * _WAVE_HEIGHT + round(y) for y in (piece.min(), piece.max()))
            canvas[top : bottom + 1, column] = 0
    return Image.fromarray(canvas)
