"""What `arbench sample` draws and shows: events, completions, and how likely each value was."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from arbench import api
from arbench.cli.console import ConsoleReporter
from arbench.cli.heatmap import print_text
from arbench.data.dataset import Dataset
from arbench.data.rendering import (
    AudioRendering,
    ImageRendering,
    MusicRendering,
    Rendering,
    TextRendering,
)
from arbench.data.tasks import SPLITS
from arbench.errors import ConfigError
from arbench.measure.allocator import out_of_memory_says
from arbench.probability.density import Density
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import EventSpec
from arbench.probability.heads.tempered import at_temperature
from arbench.probability.model import Model
from arbench.runs.config import RunConfig
from arbench.runs.request import reopen
from arbench.show.given import known_rows, read_image, read_mask
from arbench.show.heatmap import draw_cells
from arbench.show.panels import (
    PROBABILITY,
    draw_likely_sounds,
    expected_levels,
    framed,
    image_panels,
    own_bits,
    require_conditionals,
    save_panels,
    spell_probabilities,
)
from arbench.show.samples import save_picture, save_samples

_UNIT = "probability"


def require_shown(rendering: Rendering, name: str) -> None:
    """Refuse to show probabilities of what has no picture.

    Args:
        rendering: of the events.
        name: of the run, for the message.

    Raises:
        ConfigError: if they are rows of a table, or music.
    """
    if not isinstance(rendering, ImageRendering | TextRendering | AudioRendering):
        what = "music" if isinstance(rendering, MusicRendering) else "rows of a table"
        raise ConfigError(
            f"{name} is on {what}, which has no such picture: leave out --probabilities, or "
            "ask for them in Python, `arbench.load(RUN).conditionals(rows)`"
        )


def save_events(
    density: Density,
    count: int,
    out: Path,
    config: RunConfig,
    data: Dataset | None,
    probabilities: bool,
    *,
    given: str | None,
    rows: int | None,
    mask: Path | None,
    **drawn: Any,
) -> None:
    """Draw events, or complete a given one, and write them.

    Args:
        density: of the run.
        count: how many.
        out: the file.
        config: of the run.
        data: of the run, if the user named its task.
        probabilities: whether to show how likely their values were.
        given: what the user gave to complete.
        rows: how much of it is given; None where there is a mask.
        mask: an image file that says what of it is given.
        drawn: arguments of `api.sample`.

    Raises:
        ConfigError: if something of that cannot be.
    """
    event = known = likely = None
    if given is not None:
        known = _known(density.spec, rows, mask)
        event = _given(given, density.spec, config, data)
    if probabilities:
        likely = require_conditionals(_drawn_from(density, drawn, known), config.model)
    asked: dict[str, Any] = {"given": event, "known": known, **drawn}
    events = with_bar(api.sample, density, count, "samples", **asked).cpu()
    rendering = config.shown
    if isinstance(rendering, ImageRendering) and (event is not None or likely is not None):
        levels = None if likely is None else expected_levels(likely, events)
        panels = image_panels(events, density.spec, original=event, known=known, levels=levels)
        save_panels(panels, out)
        return
    save_samples(out, events, density.spec, rendering=rendering, known=known)
    if isinstance(rendering, AudioRendering) and likely is not None:
        save_picture(draw_likely_sounds(likely, events, rendering), out.with_suffix(".png"))


def show_likely_texts(
    density: Density,
    name: str,
    rendering: TextRendering,
    count: int,
    out: Path | None,
    asked: dict[str, Any],
) -> None:
    """Draw texts and show them on the colours of their symbols' probabilities.

    They are the texts that are drawn without, up to the length of the model's context: beyond it
    every symbol would be seen through another window.

    Args:
        density: of the run.
        name: of the run.
        rendering: of its task.
        count: how many.
        out: the picture to draw; None shows them in the terminal.
        asked: "prompt", "length" and arguments of `api.sample`.

    Raises:
        ConfigError: if they would be longer, the prompt does not fit, or the density does not say.
    """
    likely = require_conditionals(_tempered(density, asked), name)
    prompt, length = asked.pop("prompt"), asked.pop("length")
    try:
        given = rendering.encode(prompt).long()
    except ValueError as error:
        raise ConfigError(f"the prompt: {error}") from error
    (context,) = density.spec.shape
    end = len(given) + length if length is not None else context
    if not len(given) < end <= context or (rendering.end is not None and length is not None):
        raise ConfigError(
            f"--probabilities shows texts of at most {context} characters with the prompt, as many "
            "as the model sees at once; those that end by themselves have no --length"
        )
    event = torch.zeros(context, dtype=torch.int64)
    event[: len(given)] = given
    known = torch.arange(context) < len(given)
    events = with_bar(api.sample, density, count, "texts", given=event, known=known, **asked).cpu()
    bits = own_bits(likely, events)
    spelled = spell_probabilities(events[:, :end], bits[:, :end], len(given), rendering)
    if out is None:
        console = Console(highlight=False, soft_wrap=True)
        print_text(console, spelled, PROBABILITY, f"{_UNIT} given the text before")
        return
    save_picture(framed(draw_cells(spelled, PROBABILITY, _UNIT, size=2)), out)
    Console().print(f"{count} texts: {out}", soft_wrap=True, highlight=False)


def _tempered(density: Density, drawn: dict[str, Any]) -> Density:
    try:
        return at_temperature(density, drawn["temperature"])
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _drawn_from(density: Density, drawn: dict[str, Any], known: Tensor | None) -> Density:
    """What draws: at the temperature, and in the order of a completion."""
    tempered = _tempered(density, drawn)
    if known is None or not isinstance(tempered, Model | Ensemble):
        return tempered
    try:
        return tempered.completing(known)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def with_bar(draw: Callable[..., Any], what: Any, count: int, of: str, **asked: Any) -> Any:
    """What a function of the Python interface draws, with a bar.

    Args:
        draw: `sample` or `sample_texts`.
        what: a density, or a run.
        count: how many.
        of: what they are called.
        asked: arguments of the function.
    """
    says = f"{count:,} {of} are too many at once; use a smaller -n"
    with out_of_memory_says(says), ConsoleReporter().bar("sampling") as advance:
        return draw(what, count, progress=lambda done, total: advance(done / total, ""), **asked)


def _known(spec: EventSpec, rows: int | None, mask: Path | None) -> Tensor:
    """Which dims of the event to complete are known, `event_shape` boolean."""
    if mask is not None:
        return read_mask(mask, spec)
    assert rows is not None  # the command asks for one of them
    return known_rows(spec, rows)


def _given(text: str, spec: EventSpec, config: RunConfig, dataset: Dataset | None) -> Tensor:
    """The event to complete: from a split of the run's task, or from an image file.

    Args:
        text: what the user gave, such as "test:7".
        spec: of the event.
        config: of the run.
        dataset: of the run, if the user named its task.

    Raises:
        ConfigError: if the split has no such event, or no events of its own.
    """
    place = re.fullmatch(r"(\w+):(-?\d+)", text)
    split = next((name for name in SPLITS if place and place[1] == name), None)
    if place is None or split is None:
        return read_image(Path(text).expanduser(), spec)
    dataset = dataset or reopen(config)
    if split == "train" and dataset.task.has_training_view:
        raise ConfigError(
            f"--given {text}: {dataset.task.name} makes its train events anew in every epoch; give "
            "one of validation or test"
        )
    events, index = dataset.split(split).events, int(place[2])
    if not 0 <= index < len(events):
        raise ConfigError(
            f"--given {text}: {dataset.task.name} has {len(events):,} {split} events, 0 to "
            f"{len(events) - 1}"
        )
    return events[index]
