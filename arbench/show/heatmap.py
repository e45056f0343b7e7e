"""Measures and draws heatmaps: bits of each dim of an event."""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from arbench.data.rendering import (
    AudioRendering,
    ImageRendering,
    MusicRendering,
    Rendering,
    TableRendering,
    TextRendering,
)
from arbench.data.tasks import Split
from arbench.probability.bits import bits_of_dims
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.model import Model
from arbench.probability.precision import evaluation_mode
from arbench.show.colours import FONT_SIZE, Numbers, Scale
from arbench.show.samples import draw_grid, draw_waveforms, loudest

_BATCH_DIMS = 1 << 17
# How many dims a mean is over, and how much is shown of single events.
_MEAN_DIMS = 1 << 20
_SHOWN_IMAGES, SHOWN_SOUNDS, _SHOWN_SYMBOLS = 6, 4, 1000
# Of single events: where their scale ends.
QUANTILE = 0.99
_WHITE = f"white is the most surprising {1 - QUANTILE:.0%}"
_GAP = 12
_MAP_SIDE = 400
CHART_WIDTH, _CHART_HEIGHT, SOUND_HEIGHT = 800, 200, 60
_CELL_WIDTH, _CELL_HEIGHT, _CELLS_PER_LINE = 9, 17, 100


@dataclass(frozen=True)
class Surprise:
    """What the dims of some events cost.

    Attributes:
        spec: of the events.
        events: `(N, *event_shape)`.
        bits: `(N, *event_shape)` float64; NaN where a dim is not scored.
        unit: what bits are given per, such as "bits/pixel".
    """

    spec: EventSpec
    events: Tensor
    bits: NDArray[np.float64]
    unit: str

    @property
    def mean(self) -> NDArray[np.float64]:
        """Per dim, `event_shape`, over the events that score it; NaN where none does."""
        return _means(np.nansum(self.bits, 0), (~np.isnan(self.bits)).sum(0))

    @property
    def bits_per_dim(self) -> float:
        """Over all scored dims."""
        return float(np.nanmean(self.bits))


def shown_part(split: Split, rendering: Rendering) -> Split:
    """The first events of a split, as many as a heatmap of that rendering is of."""
    if not isinstance(rendering, TextRendering):
        return split.first(max(1, _MEAN_DIMS // split.events[0].numel()))
    enough = split.scored_dims.cumsum(0) >= _SHOWN_SYMBOLS
    return split.first(1 + int((~enough).sum()))


@torch.no_grad()
def measure_surprise(
    density: Model | Ensemble,
    split: Split,
    *,
    unit: str,
    progress: Callable[[float], None] | None = None,
) -> Surprise:
    """What every dim of a split costs.

    Args:
        density: whose bits they are.
        split: at least one event.
        unit: what a dim is called, such as "pixel".
        progress: called with the part of the work that is done.
    """
    batch_size = max(1, _BATCH_DIMS // split.events[0].numel())
    parts = []
    with evaluation_mode(density):
        for start in range(0, len(split), batch_size):
            part = slice(start, start + batch_size)
            scored = None if split.scored is None else split.scored[part]
            log_probs = density.dim_log_probs(split.events[part], scored).cpu().double()
            bits = bits_of_dims(log_probs, density.spec.domain.bin_width)
            parts.append(bits if scored is None else bits.masked_fill(~scored, torch.nan))
            if progress is not None:
                progress(min(1.0, (start + batch_size) / len(split)))
    return Surprise(density.spec, split.events, torch.cat(parts).numpy(), f"bits/{unit}")


def draw_heatmap(surprise: Surprise, rendering: Rendering) -> Image.Image:
    """A picture of where a model is surprised, with a bar that says what its colours mean.

    Of images it has the mean over all events per pixel, and the first few events above their own
    bits; of sounds waveforms above their bits; of a table the mean of every column as a bar; of
    texts every symbol on its colour. Colour channels of a pixel are averaged.
    """
    match rendering:
        case ImageRendering() | MusicRendering():
            return _draw_images(surprise)
        case AudioRendering():
            return _draw_sounds(surprise, rendering)
        case TableRendering():
            return _draw_table(surprise)
        case TextRendering():
            spelled = spell(surprise, rendering)
            scale = Scale.over(np.array([bits for _, bits in spelled]), quantile=QUANTILE)
            return draw_cells(spelled, scale, surprise.unit)


def spell(surprise: Surprise, rendering: TextRendering) -> list[tuple[str, float]]:
    """The scored symbols of all events one after another, each with its bits.

    See `spell_values`.
    """
    scored = ~np.isnan(surprise.bits)
    return spell_values(surprise.events.numpy()[scored], surprise.bits[scored], rendering)


def spell_values(
    values: NDArray[np.integer[Any]], bits_of_values: Numbers, rendering: TextRendering
) -> list[tuple[str, float]]:
    """The symbols that values `(N,)` stand for, each with its bits.

    Bytes that make a character together are one entry with the sum of their bits; the end of an
    event is a line break.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    spelled: list[tuple[str, float]] = []
    waiting = 0.0
    for value, bits in zip(values, bits_of_values, strict=True):
        waiting += float(bits)
        if rendering.symbols is None:
            text = decoder.decode(bytes([value]))
        else:
            text = "\n" if value == rendering.end else rendering.symbols[value]
        if text:
            spelled.append((text, waiting))
            waiting = 0.0
    if waiting:  # the text was cut within a character
        spelled.append(("\ufffd", waiting))
    return spelled


def _draw_images(surprise: Surprise) -> Image.Image:
    mean, own = surprise.mean.mean(0), surprise.bits[:_SHOWN_IMAGES].mean(1)
    events = surprise.events[:_SHOWN_IMAGES]
    tiles = draw_grid(events, surprise.spec, columns=len(events)).convert("RGB")
    scale, own_scale = Scale.over(mean), Scale.over(own, quantile=QUANTILE)
    rows = stacked([tiles, _heat_grid(own, own_scale)], across=False)
    return stacked(
        [
            caption(f"mean of {len(surprise.events):,} events"),
            with_bar(_enlarged(scale.colours(mean)), scale, surprise.unit),
            caption(f"the first {len(events)} of them; {_WHITE}"),
            with_bar(rows, own_scale, surprise.unit),
        ],
        across=False,
    )


def _enlarged(pixels: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(pixels)
    factor = max(1, _MAP_SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _heat_grid(bits: Numbers, scale: Scale) -> Image.Image:
    """Maps `(B, H, W)` in the place and size that `draw_grid` gives to images, in one row."""
    colours = torch.from_numpy(scale.colours(bits)).permute(0, 3, 1, 2)
    spec = EventSpec(tuple(colours.shape[1:]), Discrete(256))
    return draw_grid(colours, spec, columns=len(colours))


def _draw_sounds(surprise: Surprise, rendering: AudioRendering) -> Image.Image:
    bits = surprise.bits[:SHOWN_SOUNDS]
    amplitudes = rendering.amplitudes(surprise.events[:SHOWN_SOUNDS])
    strips: list[Image.Image] = []
    columns = [_column_means(event, CHART_WIDTH) for event in bits]
    scale = Scale.over(np.append(columns, 0.0), quantile=QUANTILE)  # bars start at 0
    peak = loudest(amplitudes)
    for wave, column in zip(amplitudes, columns, strict=True):
        strips.append(draw_waveforms(wave[None], peak=peak).convert("RGB"))
        strips.append(_bars(column, scale, (CHART_WIDTH, SOUND_HEIGHT)))
    title = caption(f"the first {len(bits)} events, and their bits; {_WHITE}")
    chart = with_bar(stacked(strips, across=False), scale, surprise.unit)
    return stacked([title, chart], across=False)


def _draw_table(surprise: Surprise) -> Image.Image:
    mean = surprise.mean.ravel()
    scale = Scale.over(np.append(mean, 0.0))  # bars start at 0
    # Whole pixels for every column, so that no two of them look different for their place alone.
    width = max(1, CHART_WIDTH // len(mean)) * len(mean)
    title = f"columns 0 to {len(mean) - 1}, mean of {len(surprise.events):,} events"
    chart = with_bar(_bars(mean, scale, (width, _CHART_HEIGHT)), scale, surprise.unit)
    return stacked([caption(title), chart], across=False)


def draw_cells(
    spelled: Sequence[tuple[str, float]], scale: Scale, unit: str, *, size: int = 1
) -> Image.Image:
    """A text, every symbol on the colour of its number; a line break ends a line.

    Args:
        spelled: symbols and their numbers.
        scale: of the numbers.
        unit: of the numbers.
        size: of the letters; as many times fewer are on a line.
    """
    width, height = size * _CELL_WIDTH, size * _CELL_HEIGHT
    lines: list[list[tuple[str, float]]] = [[]]
    for text, value in spelled:
        lines[-1].append((text, value))
        if text == "\n" or len(lines[-1]) == _CELLS_PER_LINE // size:
            lines.append([])
    if not lines[-1]:
        lines.pop()
    longest = max(len(line) for line in lines)
    page = Image.new("RGB", (longest * width, len(lines) * height), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size * FONT_SIZE)
    for row, line in enumerate(lines):
        for column, (text, value) in enumerate(line):
            if text == "\n" and math.isnan(value):
                continue  # nobody drew it: it ends a line here
            left, top = column * width, row * height
            place = (left, top, left + width - 1, top + height - 1)
            (colour,) = scale.colours(np.array([value])).tolist()
            draw.rectangle(place, fill=tuple(colour))
            if text.isprintable():
                middle = left + width / 2
                draw.text((middle, top), text, fill=ink_on(colour), font=font, anchor="ma")
    return with_bar(page, scale, unit)


def ink_on(colour: Sequence[int]) -> str:
    """Black or white, whichever can be read on a colour."""
    red, green, blue = colour
    return "black" if 0.30 * red + 0.59 * green + 0.11 * blue > 128 else "white"


def _column_means(values: NDArray[np.float64], num_columns: int) -> NDArray[np.float64]:
    """Means `(num_columns,)` of neighbouring values `(T,)`; NaN where there are none."""
    if len(values) < num_columns:  # a value has several columns, and stands in all of them
        return values[np.arange(num_columns) * len(values) // num_columns]
    column = np.arange(len(values)) * num_columns // len(values)
    known = ~np.isnan(values)
    sums = np.bincount(column[known], values[known], num_columns).astype(np.float64)
    return _means(sums, np.bincount(column[known], minlength=num_columns))


def _means(sums: NDArray[np.float64], counts: NDArray[np.int_]) -> NDArray[np.float64]:
    """Sums over counts; NaN where nothing was counted."""
    means: NDArray[np.float64] = np.where(counts, sums, np.nan) / np.maximum(counts, 1)
    return means


def _bars(values: Numbers, scale: Scale, size: tuple[int, int]) -> Image.Image:
    """A bar of equal width per value `(N,)`, as high as it is bright, on black; grey for none."""
    width, height = size
    pixels = np.zeros((height, len(values), 3), dtype=np.uint8)
    heights = np.where(np.isnan(values), 1, np.round(height * scale.fractions(values)))
    bar = np.arange(height, 0, -1)[:, None] <= heights
    pixels[bar] = np.broadcast_to(scale.colours(values), pixels.shape)[bar]
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)


def with_bar(picture: Image.Image, scale: Scale, unit: str) -> Image.Image:
    """A picture beside the scale of its colours."""
    return stacked([picture, scale.bar(max(100, picture.height // 2), unit)], across=True)


def caption(text: str) -> Image.Image:
    """A line of text, black on white."""
    font = ImageFont.load_default(FONT_SIZE)
    image = Image.new("RGB", (round(font.getlength(text)) + 1, FONT_SIZE + 4), "white")
    ImageDraw.Draw(image).text((0, 0), text, fill="black", font=font)
    return image


def stacked(pictures: Sequence[Image.Image], *, across: bool) -> Image.Image:
    """Pictures side by side, or one below another, on white with gaps."""
    axis = 0 if across else 1
    size = [max(picture.size[0] for picture in pictures), max(p.size[1] for p in pictures)]
    size[axis] = sum(picture.size[axis] for picture in pictures) + _GAP * (len(pictures) - 1)
    canvas, place = Image.new("RGB", (size[0], size[1]), "white"), [0, 0]
    for picture in pictures:
        canvas.paste(picture, (place[0], place[1]))
        place[axis] += picture.size[axis] + _GAP
    return canvas
