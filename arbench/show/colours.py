"""The colour scale of heatmaps, and its colour bar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Numbers = NDArray[np.floating[Any]]

FONT_SIZE = 12
UNKNOWN_COLOUR = 96
_BAR_WIDTH, _LABEL_WIDTH = 14, 46


def cubehelix(fractions: Numbers) -> NDArray[np.uint8]:
    """Colours `(..., 3)` from black at 0 to white at 1, ever brighter to the eye.

    Source: Green, "A colour scheme for the display of astronomical intensity images", Bulletin of
    the Astronomical Society of India 39, 2011, equation 2. Its parameters are such that the way
    goes through violet, red and sand.
    """
    start, rotations, hue = 0.0, 0.5, 1.2
    angle = 2 * math.pi * (start / 3 + 1 + rotations * fractions)
    amplitude = hue * fractions * (1 - fractions) / 2
    cosine = np.multiply.outer(np.cos(angle), [-0.14861, -0.29227, 1.97294])
    sine = np.multiply.outer(np.sin(angle), [1.78277, -0.90649, 0.0])
    levels = fractions[..., None] + amplitude[..., None] * (cosine + sine)
    colours: NDArray[np.uint8] = np.round(255 * levels.clip(0, 1)).astype(np.uint8)
    return colours


@dataclass(frozen=True)
class Scale:
    """What numbers mean as colours.

    Attributes:
        low: black, as is all below.
        high: white, as is all above.
    """

    low: float
    high: float

    @classmethod
    def over(cls, values: Numbers, *, quantile: float = 1.0) -> Scale:
        """From the least of the values to the largest, or to a quantile; NaN is no value.

        A few extreme values would leave all others in the dark, which a quantile prevents.
        """
        known = values[~np.isnan(values)]
        if not len(known):
            return cls(0.0, 1.0)
        low, high = float(known.min()), float(np.quantile(known, quantile))
        if high <= low:  # all but a few are alike
            high = float(known.max())
        return cls(low, high if high > low else low + 1)

    def fractions(self, values: Numbers) -> NDArray[np.float64]:
        """Where values lie between both ends, in [0, 1]; NaN stays NaN."""
        return ((values - self.low) / (self.high - self.low)).clip(0, 1)

    def colours(self, values: Numbers) -> NDArray[np.uint8]:
        """Colours `(..., 3)`; NaN is grey."""
        unknown = np.isnan(values)
        found = cubehelix(np.where(unknown, 0, self.fractions(values)))
        found[unknown] = UNKNOWN_COLOUR
        return found

    def bar(self, height: int, unit: str) -> Image.Image:
        """The scale itself, high at the top, with both ends and the middle named."""
        values = np.linspace(self.high, self.low, height)
        font = ImageFont.load_default(FONT_SIZE)
        width = max(_BAR_WIDTH + _LABEL_WIDTH, round(font.getlength(unit)) + 1)
        image = Image.new("RGB", (width, height + 2 * FONT_SIZE), "white")
        strip = np.repeat(self.colours(values)[:, None], _BAR_WIDTH, 1)
        image.paste(Image.fromarray(strip), (0, FONT_SIZE))
        draw = ImageDraw.Draw(image)
        draw.text((0, -2), unit, fill="black", font=font)
        for place, value in ((0, self.high), (0.5, (self.low + self.high) / 2), (1, self.low)):
            top = FONT_SIZE + place * (height - FONT_SIZE) - 2
            draw.text((_BAR_WIDTH + 4, top), f"{value:.2f}", fill="black", font=font)
        return image
