"""`arbench push`: upload a run, a result, the page (`--to`, `--board`, `--space`), or `--zoo`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from arbench.cli.options import UserPath

if TYPE_CHECKING:
    from arbench.hub.push import Pushed


@click.command()
@click.argument("run", type=UserPath(), required=False)
@click.option(
    "--to",
    metavar="ORG/NAME",
    help="Push RUN to this model repository: weights, record, card, samples.",
)
@click.option(
    "--zoo",
    metavar="ORG",
    help="Push every zoo entry, each to its own model repository ORG/TASK-MODEL.",
)
@click.option(
    "--board",
    "--boards",
    "board",
    metavar="ORG/NAME",
    help="Push the result of RUN, or all kept results, to this board.",
)
@click.option(
    "--space", metavar="ORG/NAME", help="Push the page of all boards to this static Space."
)
@click.option(
    "--license",
    "licence",
    metavar="NAME",
    help="For --to and --zoo: the licence of the weights as the Hub writes it, such as apache-2.0.",
)
@click.option(
    "--base-model", metavar="ORG/NAME", help="For --to: the model that its training began from."
)
@click.option("--private", is_flag=True, help="If the repository is new, make it private.")
@click.option("--overwrite", is_flag=True, help="Also replace files that arbench did not write.")
@click.option("--dry-run", is_flag=True, help="For --zoo: only show what would go where.")
def command(
    run: str | None,
    to: str | None,
    zoo: str | None,
    board: str | None,
    space: str | None,
    licence: str | None,
    base_model: str | None,
    private: bool,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Push RUN to the Hub in one commit, or its result to a board, or the boards' page.

    With both --to and --board, the model also gets the file that puts it on the Hub's own
    leaderboard of that board.

    You need a token with write access: `hf auth login`, or HF_TOKEN. arbench does not touch a
    repository with files that it did not write, unless you say --overwrite.

    \b
    arbench push runs/mnist-nade --to me/mnist-nade
    arbench push runs/mnist-nade --board me/arbench
    arbench push runs/mnist-nade --to me/mnist-nade --board me/arbench --license apache-2.0
    arbench push --board me/arbench --space me/arbench
    arbench push --zoo me --boards me/arbench --space me/arbench

    The last puts everything that comes with arbench onto the Hub. If it is cut off, the same
    command goes on: each repository gets one commit.
    """  # noqa: D301 - click wants the character
    given = {"to": to, "board": board, "space": space, "zoo": zoo, "licence": licence}
    _require_sense(run, dry_run, {**given, "base_model": base_model})
    from arbench import api

    how: dict[str, Any] = {"private": private, "overwrite": overwrite}
    if dry_run:
        assert zoo is not None  # see above
        _show_plan(zoo, board, space, licence)
        return
    if zoo is not None:
        from arbench.cli.console import ConsoleReporter

        reporter = ConsoleReporter()
        pushed = api.push_zoo(
            zoo, board=board, space=space, license=licence, reporter=reporter, **how
        )
    else:
        pushed = _push(run, to, board, space, licence, base_model, how)
    for each in pushed:
        click.echo(f"{each.url} at {each.commit}")


def _require_sense(run: str | None, dry_run: bool, given: Mapping[str, str | None]) -> None:
    """Refuse options that do not go together.

    Raises:
        click.UsageError: with what to do.
    """
    to, space, zoo = (given[name] for name in ("to", "space", "zoo"))
    if not any(given[name] is not None for name in ("to", "board", "space", "zoo")):
        raise click.UsageError("say where to push: --to, --board or --space ORG/NAME, or --zoo ORG")
    if zoo is not None and (run is not None or to is not None or given["base_model"] is not None):
        raise click.UsageError("--zoo pushes every zoo entry: leave out RUN, --to and --base-model")
    if dry_run and zoo is None:
        raise click.UsageError("--dry-run is for --zoo only")
    if to is not None and run is None:
        raise click.UsageError("--to needs a RUN to push")
    if space is not None and run is not None:
        raise click.UsageError("--space pushes the page of all boards: leave out RUN")
    if to is None and zoo is None and (given["licence"] or given["base_model"]):
        raise click.UsageError("--license and --base-model are for --to only")


def _push(
    run: str | None,
    to: str | None,
    board: str | None,
    space: str | None,
    licence: str | None,
    base_model: str | None,
    how: dict[str, Any],
) -> list[Pushed]:
    """Push a run, a board's results and the page, each where it is said."""
    from arbench import api

    pushed = []
    if board is not None:  # first: the model's file names a task of it
        runs = [] if run is None else [run]
        pushed.append(api.push_board(board, runs, **how))
    if to is not None:
        assert run is not None  # see above
        pushed.append(api.push(run, to, board=board, license=licence, base_model=base_model, **how))
    if space is not None:
        pushed.append(api.push_space(space, **how))
    return pushed


def _show_plan(zoo: str, board: str | None, space: str | None, licence: str | None) -> None:
    """What `--zoo` would put where, a repository a line; asks no Hub and needs no token."""
    from arbench.hub.finding import find_run
    from arbench.hub.zoo_push import zoo_parcels

    parcels = zoo_parcels(zoo, find_run, board=board, space=space, license=licence)
    width = max(len(str(parcel.repo)) for parcel in parcels)
    for parcel in parcels:
        click.echo(
            f"{parcel.repo!s:{width}}  {parcel.repo.kind:7}  {len(parcel.contents):3} files  "
            f"{parcel.size / 1e6:6.2f} MB  {parcel.message}"
        )
    total = sum(parcel.size for parcel in parcels) / 1e6
    click.echo(f"{len(parcels)} repositories, {total:.2f} MB; nothing was pushed")
