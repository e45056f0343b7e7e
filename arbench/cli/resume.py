"""`arbench resume`: continue an interrupted run."""

from __future__ import annotations

from pathlib import Path

import click

from arbench.cli.options import UserPath


@click.command()
@click.argument("run", type=UserPath(path_type=Path))
@click.option("--task", metavar="TASK", help="Where your own data are, such as images:PATH.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--log",
    multiple=True,
    metavar="NAME",
    help="Also hand the training curve and the record to this logger (`arbench list loggers`).",
)
@click.option(
    "--push",
    metavar="ORG",
    help="Push the finished run to the Hub as ORG/TASK-MODEL. Access is checked first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print only the record, as JSON.")
def command(
    run: Path,
    task: str | None,
    device: str,
    log: tuple[str, ...],
    push: str | None,
    as_json: bool,
) -> None:
    """Continue the run in folder RUN from its last checkpoint, with its own settings.

    If the run has finished, show its results again.
    """
    from arbench import api
    from arbench.cli.console import ConsoleReporter, conclude

    if push is not None:
        from arbench.hub.push import check_push

        check_push(push, task=None, model=None, resume=run)
    finished = api.resume(run, task=task, device=device, log=log, reporter=ConsoleReporter())
    conclude(finished, as_json=as_json, push=push)
