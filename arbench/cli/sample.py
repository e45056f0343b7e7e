"""`arbench sample`: draw from a run, or complete what is given."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-n", "num_events", type=click.IntRange(min=1), default=64, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write [default: samples.png]."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--method",
    type=click.Choice(["auto", "step", "fixed-point", "whole"]),
    default="auto",
    show_default=True,
)
@click.option("--given", type=click.Path(path_type=Path), help="An image to complete.")
@click.option("--rows", type=click.IntRange(min=0), help="How many of its rows are given.")
@click.option("--device", default="auto", show_default=True)
def command(
    run: Path,
    num_events: int,
    out: Path | None,
    seed: int,
    method: str,
    given: Path | None,
    rows: int | None,
    device: str,
) -> None:
    """Draw events from RUN: a grid of images as PNG, or rows of a table as text.

    \b
    arbench sample RUN -n 64 --out grid.png
    arbench sample RUN -n 16 --given image.png --rows 14 --out completed.png
    """  # noqa: D301 - click wants the character
    if (given is None) != (rows is None):
        raise click.UsageError("a completion needs both --given IMAGE and --rows N")
    from rich.console import Console

    from arbench import api
    from arbench.cli.console import ConsoleReporter
    from arbench.experiment.pictures import read_image, save_samples

    density = api.load(run, device=device)
    event = known = None
    if given is not None and rows is not None:
        event, known = read_image(given, density.spec, rows)
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
    path = save_samples(out, events, density.spec)
    Console().print(f"{num_events} samples: {path}", soft_wrap=True, highlight=False)
