"""`arbench sample`: draw from a run, or complete what is given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from torch import Tensor

    from arbench.probability.events import EventSpec


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-n", "num_events", type=click.IntRange(min=1), default=64, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write [default: samples.png, or samples.csv for what is no image].",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--method",
    type=click.Choice(["auto", "step", "fixed-point", "whole"]),
    default="auto",
    show_default=True,
)
@click.option(
    "--given",
    metavar="IMAGE|SPLIT:N",
    help="What to complete: an image file, or event N of a split of the task, such as test:7 (the "
    "first is 0). For binary events an image file is thresholded at half: grey 128 and above is 1.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    help="How many of its rows are given; dims, if it is no image.",
)
@click.option("--task", metavar="TASK", help="Where data of your own are, such as table:PATH.")
@click.option("--device", default="auto", show_default=True)
def command(
    run: Path,
    num_events: int,
    out: Path | None,
    seed: int,
    method: str,
    given: str | None,
    rows: int | None,
    task: str | None,
    device: str,
) -> None:
    """Draw events from RUN: a grid of images as PNG, or rows as csv, which table:PATH reads.

    In a picture of completions, rows that were given have an orange edge.

    \b
    arbench sample RUN -n 64 --out grid.png
    arbench sample RUN -n 16 --given test:7 --rows 14 --out completed.png
    arbench sample RUN -n 16 --given image.png --rows 14 --out completed.png
    """  # noqa: D301 - click wants the character
    if (given is None) != (rows is None):
        raise click.UsageError("a completion needs both --given IMAGE|SPLIT:N and --rows N")
    from rich.console import Console

    from arbench import api
    from arbench.cli.console import ConsoleReporter
    from arbench.experiment.config import RunConfig
    from arbench.experiment.folders import RunFolder
    from arbench.experiment.pictures import known_rows
    from arbench.experiment.rendering import output_path, save_samples

    density = api.load(run, device=device)
    rendering = RunConfig.read(RunFolder(run).config).shown
    out = output_path(out, rendering)  # before the work, not after it
    event = known = None
    if given is not None and rows is not None:
        known = known_rows(density.spec, rows)
        event = _given(run, given, density.spec, task)
    with ConsoleReporter().bar("sampling") as advance:
        events = api.sample(
            density,
            num_events,
            seed=seed,
            method=method,
            given=event,
            known=known,
            progress=lambda done, total: advance(done / total, ""),
        )
    path = save_samples(out, events.cpu(), density.spec, rendering=rendering, known=known)
    Console().print(f"{num_events} samples: {path}", soft_wrap=True, highlight=False)


def _given(run: Path, text: str, spec: EventSpec, task_text: str | None) -> Tensor:
    """The event to complete: from a split of the run's task, or from an image file.

    Raises:
        ConfigError: if the split has no such event, or no events of its own.
    """
    from arbench.errors import ConfigError
    from arbench.experiment.config import RunConfig
    from arbench.experiment.folders import RunFolder
    from arbench.experiment.pictures import read_image
    from arbench.experiment.request import reopen_task
    from arbench.experiment.tasks import SPLITS

    place = re.fullmatch(r"(\w+):(\d+)", text)
    split = next((name for name in SPLITS if place and place[1] == name), None)
    if place is None or split is None:
        return read_image(Path(text), spec)
    task = reopen_task(RunConfig.read(RunFolder(run).config), task_text)
    if split == "train" and task.has_training_view:
        raise ConfigError(
            f"--given {text}: {task.name} makes its train events anew in every epoch; give one of "
            "validation or test"
        )
    events, index = task.load(split).events, int(place[2])
    if index >= len(events):
        raise ConfigError(
            f"--given {text}: {task.name} has {len(events):,} {split} events, 0 to "
            f"{len(events) - 1}"
        )
    return events[index]
