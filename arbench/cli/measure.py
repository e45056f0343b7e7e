"""`arbench measure`: more measurements of a finished run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from arbench.cli.options import UserPath


@click.command()
@click.argument("run", type=UserPath())
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--task", metavar="TASK", help="Where your own data are, such as images:PATH.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--out", type=UserPath(path_type=Path), help="Where the copy of a shared run goes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: str,
    names: tuple[str, ...],
    task: str | None,
    device: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Make the measurements NAME... of RUN and write them into its record.

    A zoo entry or a run on the Hub is copied first, to `runs/zoo` or `runs/hub`.

    `arbench list measurements` shows the names, and `arbench show NAME` the settings of one. A
    result that the record already holds, of the same version and settings, stays.

    \b
    arbench measure runs/mnist-nade speed
    arbench measure mnist/nade compression
    arbench measure runs/mnist-nade 'speed?batch_sizes=[1,256]'
    arbench measure runs/mnist-nade 'speed?device=cuda'
    """  # noqa: D301 - click wants the character
    from rich.console import Console

    from arbench import api
    from arbench.cli.console import ConsoleReporter
    from arbench.show.record_tables import measured_tables
    from arbench.show.tables import as_rich
    from arbench.training.devices import is_main_process

    reporter = ConsoleReporter() if is_main_process() else None
    record = api.measure_run(run, *names, task=task, device=device, out=out, reporter=reporter)
    if not is_main_process():
        return
    values = record.model_dump(mode="json")
    asked = {key: values["measurements"][key] for key in api.measurement_keys(names)}
    if as_json:
        click.echo(json.dumps(asked, indent=1))
        return
    console = Console()
    for table in measured_tables(values | {"measurements": asked, "checks": None}):
        console.print(as_rich(table, console), crop=False)
