"""`arbench evaluate`: recompute a run's likelihood from its weights."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(["validation", "test", "train"]),
    default="test",
    show_default=True,
)
@click.option("--task", metavar="TASK", help="Another task than the run's own; needs --foreign.")
@click.option("--foreign", is_flag=True, help="Admit a task the run was not trained for.")
@click.option("--device", default="auto", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N events.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: Path,
    split: str,
    task: str | None,
    foreign: bool,
    device: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """The exact negative log-likelihood of RUN on a split, with its standard error."""
    from rich.console import Console

    from arbench import api
    from arbench.cli.console import ConsoleReporter, split_cells
    from arbench.experiment.folders import RunFolder
    from arbench.experiment.records import Record
    from arbench.experiment.units import nats_per

    result = api.evaluate(
        run,
        split=split,  # type: ignore[arg-type]
        task=task,
        foreign=foreign,
        device=device,
        limit=limit,
        reporter=ConsoleReporter(),
    )
    if as_json:
        click.echo(json.dumps(result.model_dump(mode="json"), indent=1))
        return
    record = RunFolder(run).record
    # The word for a dim is in the run's record; of a foreign task nothing is recorded.
    unit = "dim" if foreign or not record.exists() else Record.read(record).task.unit
    nats, bits, events, kind = split_cells(result, unit)
    note = " (foreign task: no result of it)" if foreign else ""
    Console().print(
        f"{split}: {nats} nats/{nats_per(unit)}, {bits} bits/{unit}, {events} events, {kind}{note}",
        soft_wrap=True,
    )
