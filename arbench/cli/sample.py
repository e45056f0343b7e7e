"""`arbench sample`: draw, complete (`--given`, `--rows`) or write text (`--prompt`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arbench.cli.options import UserPath

if TYPE_CHECKING:
    from torch import Tensor

    from arbench.data.dataset import Dataset
    from arbench.probability.density import Density
    from arbench.probability.events import EventSpec
    from arbench.runs.config import RunConfig


@click.command()
@click.argument("run", type=UserPath(path_type=Path))
@click.option(
    "-n",
    "num_events",
    type=click.IntRange(min=1, max=10**9),
    help="How many to draw [default: 64; for texts without an end: 1].",
)
@click.option(
    "--out",
    type=UserPath(path_type=Path),
    help="The file to write [default: samples.png, .csv or .wav; texts go to the terminal].",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the samples."
)
@click.option(
    "--method",
    type=click.Choice(["auto", "step", "fixed-point", "whole"]),
    default="auto",
    show_default=True,
    help="The sampler. All of them give the same samples.",
)
@click.option(
    "--given",
    metavar="IMAGE|SPLIT:N",
    help="What to complete: an image file, or event N of a split, such as test:7 (the first is 0). "
    "The image needs the size and the channels of the events, with 8 bits each. For binary events, "
    "grey 128 and above becomes 1.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    help="How many rows of the image are given; for other events, how many dims.",
)
@click.option("--prompt", metavar="TEXT", help="The beginning of every text.")
@click.option(
    "--length",
    type=click.IntRange(min=1),
    help="How many characters to draw after the prompt [default: 500].",
)
@click.option(
    "--temperature",
    type=float,
    help="Divide the logits by this: below 1, likely values become likelier [default: 1].",
)
@click.option("--task", metavar="TASK", help="Where your own data are, such as table:PATH.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
def command(
    run: Path,
    num_events: int | None,
    out: Path | None,
    seed: int,
    method: str,
    given: str | None,
    rows: int | None,
    prompt: str | None,
    length: int | None,
    temperature: float | None,
    task: str | None,
    device: str,
) -> None:
    """Draw events from RUN: images as a grid in a PNG, rows as csv, sounds as wav, text as text.

    table:PATH reads such a csv again. In a picture of completions, given rows have an orange edge.

    \b
    arbench sample RUN -n 64 --out grid.png
    arbench sample RUN -n 16 --given test:7 --rows 14 --out completed.png
    arbench sample RUN -n 16 --given image.png --rows 14 --out completed.png
    arbench sample RUN --prompt "KING LEAR:" --length 1000 --temperature 0.8
    """  # noqa: D301 - click wants the character
    if (given is None) != (rows is None):
        raise click.UsageError("a completion needs both --given IMAGE|SPLIT:N and --rows N")
    from rich.console import Console

    from arbench import api
    from arbench.data.rendering import TextRendering
    from arbench.files.atomic import write_text
    from arbench.hub.finding import find_run
    from arbench.runs.loading import read_config
    from arbench.runs.request import reopen
    from arbench.show.escaping import printable
    from arbench.show.samples import join_texts, output_path

    run = find_run(run)
    config = read_config(run)
    rendering = config.shown
    _require_kind(run, config, given=given, prompt=prompt, length=length)
    if out is not None or not isinstance(rendering, TextRendering):
        out = output_path(out, rendering)  # before the work, not after it
    data = None if task is None else reopen(config, task)
    drawn: dict[str, Any] = {"seed": seed, "method": method, "temperature": temperature}
    if isinstance(rendering, TextRendering):
        num_events = num_events or (64 if rendering.end is not None else 1)
        asked: dict[str, Any] = {"prompt": prompt or "", "length": length, "device": device}
        texts = _drawn(api.sample_texts, run, num_events, "texts", **asked, **drawn)
        text = join_texts(texts, rendering)
        if out is None:
            click.echo(printable(text), nl=False)
            return
        write_text(out, text)
    else:
        num_events = num_events or 64
        density = api.load(run, device=device)
        assert out is not None  # as all have it that are not texts
        _save_events(density, num_events, out, given, rows, config, data, drawn)
    Console().print(f"{num_events} samples: {out}", soft_wrap=True, highlight=False)


def _require_kind(
    run: Path, config: RunConfig, *, given: str | None, prompt: str | None, length: int | None
) -> None:
    """Refuse the options of texts for what is none, and those of events for texts.

    Raises:
        ConfigError: that names them.
    """
    from arbench.errors import ConfigError

    is_text = config.shown.kind == "text"
    if is_text and given is not None:
        raise ConfigError(f"{run} is on {config.task}, a text: complete it with --prompt TEXT")
    if not is_text and (prompt is not None or length is not None):
        raise ConfigError(
            f"{run} is on {config.task}, which is not a text: leave out --prompt and --length"
        )


def _save_events(
    density: Density,
    count: int,
    out: Path,
    given: str | None,
    rows: int | None,
    config: RunConfig,
    data: Dataset | None,
    drawn: dict[str, Any],
) -> None:
    """Draw events, or complete a given one, and write them; see `command`."""
    from arbench import api
    from arbench.show.given import known_rows
    from arbench.show.samples import save_samples

    event = known = None
    if given is not None and rows is not None:
        known = known_rows(density.spec, rows)
        event = _given(given, density.spec, config, data)
    asked: dict[str, Any] = {"given": event, "known": known, **drawn}
    events = _drawn(api.sample, density, count, "samples", **asked)
    save_samples(out, events.cpu(), density.spec, rendering=config.shown, known=known)


def _drawn(draw: Callable[..., Any], what: Any, count: int, of: str, **asked: Any) -> Any:
    """What a function of the Python interface draws, with a bar.

    Args:
        draw: `sample` or `sample_texts`.
        what: a density, or a run.
        count: how many.
        of: what they are called.
        asked: arguments of the function.
    """
    from arbench.cli.console import ConsoleReporter
    from arbench.measure.allocator import out_of_memory_says

    says = f"{count:,} {of} are too many at once; use a smaller -n"
    with out_of_memory_says(says), ConsoleReporter().bar("sampling") as advance:
        return draw(what, count, progress=lambda done, total: advance(done / total, ""), **asked)


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
    from arbench.data.tasks import SPLITS
    from arbench.errors import ConfigError
    from arbench.runs.request import reopen
    from arbench.show.given import read_image

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
