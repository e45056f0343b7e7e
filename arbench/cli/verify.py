"""`arbench verify`: evaluate a run again and compare it with its record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arbench.cli.options import UserPath

if TYPE_CHECKING:
    from arbench.runs.results.verification import ResultVerification


@click.command()
@click.argument("run", type=UserPath(path_type=Path), required=False)
@click.option("--zoo", is_flag=True, help="Verify every zoo entry instead of RUN, in a table.")
@click.option("--task", metavar="TASK", help="Where your own data are, such as table:PATH.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    ctx: click.Context, run: Path | None, zoo: bool, task: str | None, device: str, as_json: bool
) -> None:
    """Evaluate RUN on its test split again and compare it with its record, event by event.

    Every other measurement in the record is made again, too, unless it gives another number each
    time.

    RUN is a folder, a zoo entry such as mnist/nade, or hf:org/name@revision. The exit code is 0 if
    the recorded number holds, and 1 if it does not. Records of old versions do not name the sha256
    of all their files: if such a number holds, verify writes the record anew with them.

    With --zoo, entries whose data are not here are named, and the exit code is 3 if all others
    hold.
    """
    if zoo == (run is not None) or (zoo and task is not None):
        raise click.UsageError("give a RUN, or --zoo alone: it knows its entries and their tasks")
    from arbench import api
    from arbench.cli.console import ConsoleReporter

    if run is None:
        from arbench.cli.verify_zoo import verify_zoo

        ctx.exit(verify_zoo(ConsoleReporter(), device=device, as_json=as_json))
    found = api.verify(run, task=task, device=device, reporter=ConsoleReporter())
    if as_json:
        click.echo(json.dumps({"run": str(run), **found.to_json()}, indent=1))
    else:
        largest = found.largest_difference_nats
        events = (
            "there is not one for every event"
            if largest is None
            else f"{largest:.1e} nats, of at most {found.tolerance_nats:.1e}"
        )
        misstated = (
            f"; its record misstates {', '.join(found.misstated)}" if found.misstated else ""
        )
        click.echo(
            f"{run} {'holds' if found.holds else 'DOES NOT HOLD'}: recorded "
            f"{found.recorded_nats:.6f}, found {found.found_nats:.6f} nats/event over "
            f"{found.num_events:,} test events on {found.device}; largest difference of an event: "
            f"{events}{misstated}"
        )
        for result in found.results:
            click.echo(_result(result))
        if found.binding:
            click.echo(found.binding)
    ctx.exit(0 if found.holds else 1)


def _result(result: ResultVerification) -> str:
    """What was found of another measurement, in a line."""
    from arbench.show.escaping import one_line

    recorded = f"recorded {result.recorded:.6g}"
    if result.unjudged:
        text = f"{result.key} is not judged: {recorded} {result.unit}; {result.unjudged}"
        return one_line(text)
    numbers = recorded if result.found is None else f"{recorded}, found {result.found:.6g}"
    text = f"{result.key} {'holds' if result.holds else 'DOES NOT HOLD'}: {numbers} {result.unit}"
    if result.largest_difference is not None:
        text += (
            f"; largest difference of a value: {result.largest_difference:.1e}, of at most "
            f"{result.tolerance:.1e}"
        )
    if result.misstated:
        text += f"; its record misstates {', '.join(result.misstated)}"
    return one_line(text + (f"; {result.fault}" if result.fault else ""))
