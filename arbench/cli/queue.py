"""`arbench queue`: train all runs of a queue file; `arbench queue status`: how they stand."""

from __future__ import annotations

import json
from pathlib import Path

import click

from arbench.cli.options import UserPath

_STDIN = 0
_FILE = click.argument("file", type=UserPath(path_type=Path, exists=True, dir_okay=False))
_OUT = click.option(
    "--out",
    type=UserPath(path_type=Path),
    default="runs",
    show_default=True,
    help="The folder of the run folders.",
)


class _Queue(click.Command):
    """The verb, which hands on to `status` if that is its first word."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        if args[:1] == ["status"]:
            return status.make_context(f"{info_name} status", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=_Queue)
@_FILE
@_OUT
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    help="Processes to start, with one thread each (or OMP_NUM_THREADS), and GPUs dealt out; with "
    "another launcher, how many runs are made at once [default: 1; what there is room for].",
)
@click.option(
    "--launcher",
    default="local",
    show_default=True,
    metavar="NAME",
    help="What starts the processes, and its settings, such as 'ray?cpus=4' or 'slurm?minutes=60'; "
    "`arbench list launchers` shows all, `arbench show ray` the settings of one.",
)
@click.option(
    "--lease",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="A worker that is silent for so long is taken for dead, and its run taken up.",
)
@click.option("--worker", "is_worker", is_flag=True, hidden=True)
@click.option("--leash", "has_leash", is_flag=True, hidden=True)
@click.option("--only", hidden=True)
def command(
    file: Path,
    out: Path,
    device: str,
    workers: int | None,
    launcher: str,
    lease: float,
    is_worker: bool,
    has_leash: bool,
    only: str | None,
) -> None:
    """Train all runs of the queue FILE, in order; say how they stand with `queue status FILE`.

    \b
    arbench queue runs.toml --workers 4
    arbench queue runs.toml --launcher 'ray?cpus=2'
    arbench queue status runs.toml

    Give the same command again after an interruption: it skips finished runs and continues
    unfinished ones. Give it on as many machines as you like that share the folder --out: each run
    is made once, and what a dead worker leaves is taken up from its checkpoint.
    """  # noqa: D301 - click wants the character
    if has_leash:  # before what takes seconds to import
        from arbench.training.signals import stop_when_it_ends

        stop_when_it_ends(_STDIN)

    from arbench.api.queue import make_all, run_queue
    from arbench.cli.console import ConsoleReporter, conclude
    from arbench.files.atomic import require_folder
    from arbench.runs.queue import read_queue

    require_folder(out)  # once, not for every run of the queue
    reporter = ConsoleReporter()
    if is_worker:  # of a launcher, whose command shows the results and asks again for what failed
        wanted = [item for item in read_queue(file) if only in (None, item.name)]
        make_all("queue", wanted, out, device, reporter, lease_s=lease, again=False)
        return
    for run in run_queue(
        file,
        out=out,
        device=device,
        launcher=launcher,
        workers=workers,
        lease=lease,
        reporter=reporter,
    ):
        conclude(run)


@click.command()
@_FILE
@_OUT
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(file: Path, out: Path, as_json: bool) -> None:
    """Show how the runs of the queue FILE stand, and when all will be done.

    A run is made, running, waiting or failed. What a dead worker leaves is waiting.
    """
    from arbench.runs.pool.status import queue_status, status_table
    from arbench.runs.queue import read_queue
    from arbench.show.tables import as_text

    found = queue_status(read_queue(file), out)
    click.echo(json.dumps(found.to_json(), indent=1) if as_json else as_text(status_table(found)))
