"""`arbench show RUN --heatmap`: the bits of each dim of the test events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.text import Text

from arbench import api
from arbench.cli.console import ConsoleReporter
from arbench.data.rendering import ImageRendering, TextRendering
from arbench.errors import ConfigError
from arbench.hub.finding import find_run
from arbench.probability.ensemble import Ensemble
from arbench.probability.model import Model
from arbench.runs.loading import read_config
from arbench.runs.request import reopen
from arbench.show.colours import Scale
from arbench.show.escaping import printable
from arbench.show.heatmap import QUANTILE, draw_heatmap, ink_on, measure_surprise, shown_part, spell
from arbench.show.samples import output_path, save_picture

DEFAULT_NAME = "heatmap.png"


def show_heatmap(name: str, file: Path | None, task: str | None) -> None:
    """Write the picture, or without a file print a text in colours.

    Args:
        name: of a run, as `arbench.load` takes it.
        file: of the picture; None is `DEFAULT_NAME` in the current folder, for texts the terminal.
        task: where data of the user's own are, such as "images:PATH".

    Raises:
        ConfigError: if there is no such run, nothing can be written there, or the run's density
            does not say what single dims cost.
    """
    run = find_run(name)
    config = read_config(run)
    rendering = config.shown
    if file is not None or not isinstance(rendering, TextRendering):
        # Before the work, not after it.
        file = output_path(file or Path(DEFAULT_NAME), ImageRendering())
    data = reopen(config, task)
    data.require_likelihood(config.model, config.layouts)
    density = api.load(run, device="auto")
    if not isinstance(density, (Model, Ensemble)):
        raise ConfigError(f"{name}: its density gives log-probabilities of whole events only")
    part = shown_part(data.split("test"), rendering)
    with ConsoleReporter().bar("measuring") as advance:
        surprise = measure_surprise(
            density, part, unit=data.task.unit, progress=lambda fraction: advance(fraction, "")
        )
    note = f"{surprise.bits_per_dim:.4f} {surprise.unit}, mean of {len(part):,} test events"
    console = Console(highlight=False, soft_wrap=True)
    if file is not None:
        save_picture(draw_heatmap(surprise, rendering), file)
        console.print(f"heatmap: {file} ({note})")
    elif isinstance(rendering, TextRendering):
        spelled = spell(surprise, rendering)
        scale = Scale.over(np.array([bits for _, bits in spelled]), quantile=QUANTILE)
        print_text(console, spelled, scale, surprise.unit)
        console.print(note)


def print_text(
    console: Console, spelled: Sequence[tuple[str, float]], scale: Scale, unit: str
) -> None:
    """On a terminal the text on its colours, elsewhere a line per symbol: itself and its number."""
    if not console.is_terminal:
        for symbol, value in spelled:
            click.echo(f"{symbol!r}\t{value:.4f}")
        return
    text = Text()
    for symbol, value in spelled:
        # Of a line break only the mark is seen, and only it can have a colour.
        shown = "\u21b5" if symbol == "\n" else printable(symbol)
        text.append(shown, _style(scale, value))
        if symbol == "\n":
            text.append("\n")
    console.print(text)
    steps = np.linspace(scale.low, scale.high, 9)
    legend = (Text(f"{value:^7.2f}", _style(scale, value)) for value in steps.tolist())
    console.print(Text().join(legend), unit)


def _style(scale: Scale, value: float) -> str:
    (colour,) = scale.colours(np.array([value])).tolist()
    return f"{ink_on(colour)} on rgb({colour[0]},{colour[1]},{colour[2]})"
