"""`arbench export`: a run in the format of another tool."""

from __future__ import annotations

from pathlib import Path

import click

from arbench.cli.options import UserPath

_FORMATS = ("every-eval-ever", "onnx")


@click.command()
@click.argument("run", type=UserPath())
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    required=True,
    help="every-eval-ever: every number of the run, as JSON. onnx: the network and its "
    "log-probabilities, as a graph.",
)
@click.option(
    "--organisation", metavar="NAME", help="For every-eval-ever: who provides the numbers."
)
@click.option(
    "--out",
    type=UserPath(path_type=Path),
    default=Path("."),
    help="Where to write [default: the current folder].",
)
def command(run: str, form: str, organisation: str | None, out: Path) -> None:
    """Write RUN in the format of another tool, and print the file.

    \b
    arbench export runs/mnist-nade --format every-eval-ever --out results
    arbench export runs/mnist-fvsbn --format onnx
    """  # noqa: D301 - click wants the character
    if form == "onnx":
        from arbench import api
        from arbench.cli.console import ConsoleReporter
        from arbench.export.onnx import export_onnx

        opened = api.open_run(run)
        with ConsoleReporter().bar("exporting") as advance:
            file, fixed = export_onnx(opened.density, out, name=opened.name, advance=advance)
        click.echo(file)
        if fixed is not None:
            click.echo(f"the batch is fixed: {fixed} event at a time", err=True)
        return
    from arbench.export.every_eval_ever import UNKNOWN, export_results
    from arbench.hub.finding import find_run

    organisation = organisation or UNKNOWN
    click.echo(export_results(find_run(run), out, name=run, organisation=organisation))
