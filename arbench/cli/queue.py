"""`arbench queue`: train all runs of a queue file."""

from __future__ import annotations

from pathlib import Path

import click

from arbench.cli.options import UserPath


@click.command()
@click.argument("file", type=UserPath(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--out",
    type=UserPath(path_type=Path),
    default="runs",
    show_default=True,
    help="Where to make the run folders.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
def command(file: Path, out: Path, device: str) -> None:
    """Train all runs of the queue FILE, in order.

    Give the same command again after an interruption: it skips finished runs and continues
    unfinished ones.
    """
    from arbench import api
    from arbench.cli.console import ConsoleReporter, conclude
    from arbench.files.atomic import require_folder

    require_folder(out)  # once, not for every run of the queue
    for run in api.run_queue(file, out=out, device=device, reporter=ConsoleReporter()):
        conclude(run)
