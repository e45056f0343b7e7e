"""Pictures side by side: samples, what was given of them, and how likely the model found them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from arbench.data.rendering import AudioRendering, TextRendering
from arbench.errors import ConfigError
from arbench.files.atomic import write_text
from arbench.probability.bits import bits_of_dims
from arbench.probability.density import Density
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.extras import Conditionals
from arbench.show.colours import Scale
from arbench.show.escaping import html
from arbench.show.heatmap import (
    CHART_WIDTH,
    SHOWN_SOUNDS,
    SOUND_HEIGHT,
    caption,
    spell_values,
    stacked,
    with_bar,
)
from arbench.show.samples import (
    MIN_SIDE,
    draw_waveforms,
    enlarged,
    loudest,
    save_picture,
    svg_image,
    svg_of,
    tiled,
)

PROBABILITY = Scale(0.0, 1.0)
_GAP, _TITLE_SIZE, _TITLE_HEIGHT = 16, 15, 24
_UNKNOWN = 150  # the shade of what is not given, lighter than the gaps between images
_MOST_NUMBERS = 1 << 24  # at once
_LEAST_LOG, _STEPS = -4.0, 12  # the scale of a sound's probabilities begins at 10 to that


@dataclass(frozen=True)
class Panel:
    """A picture, one pixel for each of an event's, and the line above it."""

    title: str
    picture: Image.Image


def require_conditionals(density: Density, name: str) -> Conditionals:
    """The density, if it says how likely every value of a dim was.

    Args:
        density: of a run.
        name: of the run, for the message.

    Raises:
        ConfigError: if it does not.
    """
    if callable(getattr(density, "conditionals", None)):
        return cast(Conditionals, density)
    raise ConfigError(
        f"{name}: its density does not say how likely each value was, as those of real numbers and "
        "ensembles of several orders; leave out --probabilities"
    )


def in_parts(
    density: Conditionals, events: Tensor, make: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """What is made of events and their conditionals, not all of which may fit into memory.

    Args:
        density: whose conditionals.
        events: `(B, *event_shape)`.
        make: from `(b, *event_shape)` and `(b, *event_shape, K)` log-probabilities to `(b, ...)`.

    Returns:
        `(B, ...)` on the CPU.
    """
    parts = [torch.empty(0)]
    start, size = 0, 1  # how large one is, the first one says
    while start < len(events):
        part = events[start : start + size]
        log_probs = density.conditionals(part)
        parts.append(make(part.to(log_probs.device), log_probs).cpu())
        start, size = start + size, max(1, _MOST_NUMBERS // log_probs[0].numel())
    return torch.cat(parts[1:])


def expected_levels(density: Conditionals, events: Tensor) -> Tensor:
    """The mean of every dim given the dims before it, `(B, *event_shape)`; of bits, that of a 1."""

    def mean(_: Tensor, log_probs: Tensor) -> Tensor:
        values = torch.arange(log_probs.shape[-1], dtype=log_probs.dtype, device=log_probs.device)
        return log_probs.exp() @ values

    return in_parts(density, events, mean)


def own_bits(density: Conditionals, events: Tensor) -> Tensor:
    """What the values of events cost, `(B, *event_shape)` bits."""

    def bits(part: Tensor, log_probs: Tensor) -> Tensor:
        own = log_probs.gather(-1, part.long().unsqueeze(-1)).squeeze(-1)
        return bits_of_dims(own, 1.0)

    return in_parts(density, events, bits)


def image_panels(
    events: Tensor,
    spec: EventSpec,
    *,
    original: Tensor | None = None,
    known: Tensor | None = None,
    levels: Tensor | None = None,
) -> list[Panel]:
    """What is to be seen of drawn images: what was given of which one, they, and what was likely.

    Args:
        events: `(B, C, H, W)`.
        spec: their spec.
        original: `(C, H, W)`, the image that they complete; None if they complete none.
        known: `(C, H, W)` boolean, what of it was given.
        levels: `(B, C, H, W)` what was to be expected of every dim; None if it is not to be shown.
    """
    assert isinstance(spec.domain, Discrete)
    panels = []
    if original is not None and known is not None:
        one = EventSpec(spec.shape, Discrete(256))
        shades = _shades(original[None].double(), spec.domain)
        given = torch.where(known, shades, _UNKNOWN)
        panels.append(Panel("original", tiled(shades, one)))
        panels.append(Panel("given", tiled(given, one, known=known)))
    title = "samples" if original is None else "completions"
    panels.append(Panel(title, tiled(events, spec, known=known)))
    if levels is not None:
        shades = _shades(levels, spec.domain)
        picture = tiled(shades, EventSpec(spec.shape, Discrete(256)), known=known)
        panels.append(Panel(_what_is_expected(spec.domain), picture))
    return panels


def _what_is_expected(domain: Discrete) -> str:
    if domain.size == 2:
        return "probability of white, given the pixels before"
    return "expected level, given the pixels before"


def _shades(levels: Tensor, domain: Discrete) -> Tensor:
    """Levels from 0 to K - 1 as shades from 0 to 255."""
    return (levels * (255 / (domain.size - 1))).round().to(torch.uint8)


def save_panels(panels: Sequence[Panel], path: Path) -> None:
    """Write panels side by side, enlarged alike, as PNG or SVG."""
    factor = max(1, MIN_SIDE // max(max(panel.picture.size) for panel in panels))
    font = ImageFont.load_default(_TITLE_SIZE)
    pictures = [enlarged(panel.picture, factor) for panel in panels]
    widths = [
        max(picture.width, int(font.getlength(panel.title)) + 1)
        for panel, picture in zip(panels, pictures, strict=True)
    ]
    lefts = [_GAP + sum(widths[:i]) + _GAP * i for i in range(len(panels))]
    height = _GAP + _TITLE_HEIGHT + max(picture.height for picture in pictures) + _GAP
    size, top = (lefts[-1] + widths[-1] + _GAP, height), _GAP + _TITLE_HEIGHT
    if path.suffix.lower() == ".svg":
        style = f'font-family="sans-serif" font-size="{_TITLE_SIZE}"'
        elements = []
        for panel, picture, left in zip(panels, pictures, lefts, strict=True):
            title = html(panel.title)
            elements.append(f'<text x="{left}" y="{_GAP + _TITLE_SIZE}" {style}>{title}</text>')
            elements.append(svg_image(panel.picture, (left, top), picture.size))
        write_text(path, svg_of(size, elements))
        return
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for panel, picture, left in zip(panels, pictures, lefts, strict=True):
        draw.text((left, _GAP), panel.title, fill="black", font=font)
        canvas.paste(picture, (left, top))
    save_picture(canvas, path)


def framed(picture: Image.Image) -> Image.Image:
    """A picture with a white edge, so that nothing of it touches a dark page."""
    return ImageOps.expand(picture, _GAP, "white")


def draw_likely_sounds(
    density: Conditionals, events: Tensor, rendering: AudioRendering
) -> Image.Image:
    """The first few sounds, each above how likely every level was at every time.

    Levels go from the lowest at the bottom to the highest; those that share a pixel of the picture
    have their mean there, and so have times.
    """
    shown = events[:SHOWN_SOUNDS]
    amplitudes = rendering.amplitudes(shown)
    order = torch.from_numpy(rendering.amplitudes(torch.arange(256))).argsort(descending=True)
    size, scale = (2 * SOUND_HEIGHT, CHART_WIDTH), Scale(_LEAST_LOG, 0.0)

    def pooled(_: Tensor, log_probs: Tensor) -> Tensor:
        probabilities = log_probs.exp()[..., order.to(log_probs.device)].mT
        return torch.nn.functional.adaptive_avg_pool2d(probabilities, size)

    likely = in_parts(density, shown, pooled).clamp(min=10.0**_LEAST_LOG).log10()
    strips = []
    # In few steps, which the eye does not see and files are small with.
    for wave, logs in zip(amplitudes, (likely * _STEPS).round().numpy() / _STEPS, strict=True):
        strips.append(draw_waveforms(wave[None], peak=loudest(amplitudes)).convert("RGB"))
        strips.append(Image.fromarray(scale.colours(logs)))
    title = caption("samples, each above how likely every level was, given the sound before")
    chart = with_bar(stacked(strips, across=False), scale, "log10 p")
    return framed(stacked([title, chart], across=False))


def spell_probabilities(
    events: Tensor, bits: Tensor, num_given: int, rendering: TextRendering
) -> list[tuple[str, float]]:
    """The symbols of texts, each with its probability given those before; NaN where it was given.

    Args:
        events: `(B, T)`.
        bits: `(B, T)`, what every symbol costs.
        num_given: how many symbols of each were given.
        rendering: of the texts.
    """
    spelled: list[tuple[str, float]] = []
    for event, own in zip(events, bits, strict=True):
        is_end = event == rendering.end if rendering.end is not None else torch.zeros(len(event))
        last = int(is_end.int().argmax()) + 1 if is_end.any() else len(event)
        drawn = slice(num_given, last)
        spelled += [(symbol, float("nan")) for symbol in rendering.decode(event[:num_given])]
        symbols = spell_values(event[drawn].numpy(), own[drawn].numpy(), rendering)
        spelled += [(symbol, 2.0**-cost) for symbol, cost in symbols]
        if not is_end.any():  # then no symbol ends the line
            spelled.append(("\n", float("nan")))
    return spelled
