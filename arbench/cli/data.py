"""`arbench data`: where a task's files are; `--download`, `--verify`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from arbench.errors import ArbenchError
from arbench.registry.manager import registry
from arbench.show.tables import columns

if TYPE_CHECKING:
    from arbench.data.dataset import Dataset
    from arbench.data.sources import SourceFile

MISSING = "not here"
NOT_NEEDED = "not here, nor needed"


@click.command("data")
@click.argument("task", required=False)
@click.option("--download", is_flag=True, help="Download the files that are not on this machine.")
@click.option(
    "--verify", is_flag=True, help="Read every split; print their sizes and the hash of the data."
)
@click.pass_context
def command(ctx: click.Context, task: str | None, download: bool, verify: bool) -> None:
    """Show where the files of TASK, or of all tasks, come from and where they are.

    arbench looks for files in $ARBENCH_DATA, then in the cache, and checks their sha256. For one
    TASK, and with --verify for every task, it also reads the splits if their files are here.
    """
    from arbench.data.dataset import Dataset

    offers = registry().tasks
    every = [name for name, offer in offers.items() if offer.entry.argument is None]
    names = every if task is None else [task]
    files: list[list[str]] = []
    splits: list[list[str]] = []
    exit_code = 0
    for name in _with_bar(names) if verify else names:
        try:
            dataset = Dataset(name)
            opened = dataset.task
            states = [_state(source, download) for source in opened.files]
            if verify or task is not None:
                sizes = _sizes(dataset, verify)
                splits.append(sizes or [opened.name, *[""] * 3, f"{MISSING}: add --download"])
                if sizes:  # a task may keep in the cache what it made of its files
                    states = [
                        [file, NOT_NEEDED if state == MISSING else state, *rest]
                        for file, state, *rest in states
                    ]
            files += [[opened.name, *state] for state in states]
        except ArbenchError as error:
            if task is not None:
                raise
            print(f"arbench: error: {name}: {error}", file=sys.stderr)
            files.append([name, "", "failed", "", ""])
            exit_code = error.exit_code
    blocks = []
    if files:
        blocks.append(columns(files, ["task", "file", "state", "bytes", "where"]))
    if without := sorted(set(names) - {row[0] for row in files}):
        blocks.append(f"no source files: {', '.join(without)}")
    if splits:
        blocks.append(columns(splits, ["task", "train", "validation", "test", "events sha256"]))
    click.echo("\n\n".join(blocks))
    ctx.exit(exit_code)


def _with_bar(names: Sequence[str]) -> Iterator[str]:
    """The names, and how far they are read."""
    from arbench.cli.console import ConsoleReporter

    with ConsoleReporter().bar("reading") as advance:
        for number, name in enumerate(names):
            advance(number / len(names), name)
            yield name
        advance(1.0, "")


def _state(source: SourceFile, download: bool) -> list[str]:
    """File, state, bytes, and its path, or else the address it would come from.

    Raises:
        ArbenchError: if it is damaged, or cannot be downloaded.
    """
    from arbench.data.sources import fetch, locate

    path = fetch(source) if download else locate(source)
    if path is None:
        size = "" if source.size is None else f"{source.size:,}"
        origin = f"torchvision's {source.dataset}" if source.dataset else source.urls[0]
        return [source.path, MISSING, size, origin]
    state = "sha256 right" if source.sha256 else "here, no sha256 published"
    return [source.path, state, f"{path.stat().st_size:,}", str(path)]


def _sizes(dataset: Dataset, verify: bool) -> list[str] | None:
    """Name, events in each split, and the hash of all events if that is wanted.

    None if a file that it takes is not on this machine; nothing is downloaded.

    Raises:
        ArbenchError: if the data are damaged.
    """
    from arbench.data.offline import NotHereError, offline
    from arbench.data.tasks import SPLITS

    try:
        with offline():
            sizes = [f"{len(dataset.stored(split)):,}" for split in SPLITS]
            return [dataset.task.name, *sizes, dataset.sha256 if verify else "(--verify)"]
    except NotHereError:
        return None
