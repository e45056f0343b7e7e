"""`arbench bench`: time every sampler of a run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from arbench.cli.options import UserPath


@click.command()
@click.argument("run", type=UserPath(path_type=Path))
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--method", "methods", multiple=True, help="step, fixed-point or whole [default: all]."
)
@click.option(
    "--batch",
    "batch_sizes",
    multiple=True,
    type=click.IntRange(1, 10**9),
    default=(1, 64),
    help="Events per call. You may repeat the option [default: 1 and 64].",
)
@click.option("--full", is_flag=True, help="Time the whole-forward sampler at every site.")
@click.option(
    "--out",
    type=UserPath(path_type=Path),
    metavar="FILE",
    help="Write the report to this file [default: speed-<machine>.json in the folder of RUN; no "
    "file if RUN is not a folder].",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: Path,
    device: str,
    methods: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    full: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Time every sampler of RUN at every batch size: median and interquartile range.

    RUN is a folder, a zoo entry such as mnist/nade, or hf:org/name@revision. The whole-forward
    sampler is slow: without --full, bench times it on a few sites, scales the time and marks it
    extrapolated. Boards show the report beside the result.
    """
    from rich.console import Console

    from arbench import api
    from arbench.boards.speeds import SpeedReport
    from arbench.cli.console import ConsoleReporter
    from arbench.files.atomic import require_file, require_folder
    from arbench.hub.finding import find_run
    from arbench.measure.allocator import out_of_memory_says
    from arbench.runs.folder import RunFolder
    from arbench.runs.record.record import Record
    from arbench.show.record_tables import speed_table
    from arbench.show.tables import as_rich
    from arbench.training.devices import resolve_device

    folder = find_run(run)
    RunFolder(folder).require_finished()
    record = Record.read(folder / "record.json")
    if out is not None:
        require_file(out, "speed.json")  # before the work, not after it
    elif folder == run:
        require_folder(folder)
    says = f"a batch of {max(batch_sizes):,} is too many at once; use a smaller --batch"
    with out_of_memory_says(says):
        rows = api.bench(
            folder,
            device=device,
            methods=methods or None,
            batch_sizes=batch_sizes,
            full=full,
            reporter=ConsoleReporter(),
        )
    values = [row.model_dump(mode="json") for row in rows]
    if as_json:
        click.echo(json.dumps(values, indent=1))
    else:
        console = Console()
        console.print(as_rich(speed_table(values), console), crop=False)
    report = SpeedReport.measured(rows, record, resolve_device(device))
    if out is None and folder == run:
        out = folder / report.file_name
    if out is not None:
        report.write(out)
        if not as_json:
            click.echo(f"report: {out}")
