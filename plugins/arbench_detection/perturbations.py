"""Makes outliers of events: each changes what it is named after, and nothing else.

Every draw is keyed by its purpose alone, so that all models of a task meet the same outliers.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from arbench import AudioRendering, Rendering, uniforms

_KEY = 31_700  # of all draws
JPEG_QUALITY = 10
_BLUR = (1, 4, 6, 4, 1)  # of a sum of 16: a standard deviation of one pixel
_SHIFT = 7  # an image is moved by a seventh of its side


def drawn(shape: Sequence[int], purpose: int) -> Tensor:
    """Numbers in [0, 1) of that shape, float64; `purpose` tells them from others."""
    numbers = uniforms(int(np.prod(shape)), _KEY, purpose)
    return torch.from_numpy(numbers).view(*shape)


def blank(spec_shape: Sequence[int], rendering: Rendering) -> Tensor:
    """One event without anything on it, `(1, *event_shape)`: level 0, or silence of a sound."""
    value = 0
    if isinstance(rendering, AudioRendering):
        value = int(np.abs(rendering.amplitudes(torch.arange(256))).argmin())
    return torch.full((1, *spec_shape), value)


def inverted(events: Tensor, num_values: int) -> Tensor:
    """The brightest levels the darkest, and the other way round."""
    return num_values - 1 - events


def marginal_noise(events: Tensor, train: Tensor) -> Tensor:
    """As many events, every dim taken from a train event of its own: frequencies and no structure.

    Args:
        events: `(N, *event_shape)`, for their number and shape alone.
        train: `(M, *event_shape)`.
    """
    flat = train.flatten(1)
    rows = (drawn((len(events), flat.shape[1]), 1) * len(flat)).long()
    return flat.gather(0, rows).view(len(events), *events.shape[1:])


def uniform_noise(events: Tensor, values: Sequence[int]) -> Tensor:
    """As many events, every dim one of some values, all equally likely."""
    chosen = (drawn(events.shape, 2) * len(values)).long()
    return torch.tensor(values)[chosen]


def shifted(images: Tensor) -> Tensor:
    """Images moved right and down by a seventh of their sides; what comes in repeats the edge.

    Args:
        images: `(N, C, H, W)` integers.
    """
    height, width = images.shape[-2:]
    rows = (torch.arange(height) - max(1, height // _SHIFT)).clamp(min=0)
    columns = (torch.arange(width) - max(1, width // _SHIFT)).clamp(min=0)
    return images[..., rows, :][..., columns]


def blurred(images: Tensor) -> Tensor:
    """Images under a kernel of five by five, rounded to the nearest level, halves up.

    Of two levels that leaves 1 where half of the weight is on ones: a smoothed outline.

    Args:
        images: `(N, C, H, W)` integers.
    """
    levels = images.long()
    for axis in (-1, -2):
        size = levels.shape[axis]
        places = torch.arange(size)
        near = [(places + step).clamp(0, size - 1) for step in range(-2, 3)]
        levels = sum(
            (
                weight * levels.index_select(axis, at)
                for weight, at in zip(_BLUR, near, strict=True)
            ),
            start=torch.zeros_like(levels),
        )
    return (levels + 128) // 256


def jpeg(images: Tensor, num_values: int) -> Tensor:
    """Images as JPEG of quality 10 shows them, rounded to the nearest level.

    Args:
        images: `(N, C, H, W)` integers, C 1 or 3.
        num_values: how many levels there are.
    """
    pixels = (images.long() * 255 // (num_values - 1)).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    shown = []
    for each in pixels:
        buffer = io.BytesIO()
        grey = each.shape[-1] == 1
        Image.fromarray(np.ascontiguousarray(each[..., 0] if grey else each)).save(
            buffer, "JPEG", quality=JPEG_QUALITY
        )
        with Image.open(buffer) as image:
            shown.append(np.asarray(image).reshape(each.shape).astype(np.int64))
    levels = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
    return (levels * (num_values - 1) + 127) // 255


def shuffled(events: Tensor, movable: Tensor) -> Tensor:
    """What may be moved, in a random order.

    Args:
        events: `(N, T)` integers.
        movable: `(N, T)` boolean, the first dims of each event.
    """
    return _ordered(events, movable, drawn(events.shape, 3))


def reversed_(events: Tensor, movable: Tensor) -> Tensor:
    """What may be moved, from its end to its beginning; arguments as of `shuffled`."""
    place = torch.arange(events.shape[1], dtype=torch.float64).expand(events.shape)
    return _ordered(events, movable, -place)


def _ordered(events: Tensor, movable: Tensor, keys: Tensor) -> Tensor:
    places = torch.arange(events.shape[1], dtype=torch.float64) + 2
    return events.gather(1, torch.where(movable, keys, places).argsort(dim=1, stable=True))
