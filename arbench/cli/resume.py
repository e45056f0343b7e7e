"""`arbench resume`: continue an interrupted run."""

from __future__ import annotations

from pathlib import Path

import click

from arbench.cli.paths import UserPath


@click.command()
@click.argument("run", type=UserPath(path_type=Path))
@click.option("--task", metavar="TASK", help="Where data of your own are, such as images:PATH.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--push",
    metavar="ORG",
    help="Put the finished run onto the Hub as ORG/TASK-MODEL; checked before the training.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record on standard output, alone.")
def command(run: Path, task: str | None, device: str, push: str | None, as_json: bool) -> None:
    """Continue the run in folder RUN from its last checkpoint, with the settings it has.

    A run that is finished is shown again.
    """
    from arbench import api
    from arbench.cli.console import ConsoleReporter
    from arbench.cli.outcome import conclude

    if push is not None:
        from arbench.hub.push import check_push

        check_push(push, task=None, model=None, resume=run)
    reporter = ConsoleReporter()
    finished = api.resume(run, task=task, device=device, reporter=reporter)
    conclude(finished, as_json=as_json, push=push, reporter=reporter)
