"""`arbench leaderboard`: ranked results of a task, with published numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from arbench.cli.options import UserPath
from arbench.show.tables import filled

if TYPE_CHECKING:
    from arbench.boards.rows import Board


@click.command()
@click.argument("task", required=False)
@click.option(
    "--runs",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="Also show the runs in this folder, such as runs.",
)
@click.option(
    "--unchecked", is_flag=True, help="Also show published numbers that nobody has checked."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json"]),
    default="table",
    show_default=True,
)
@click.option(
    "--html",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="Write the boards as an HTML page into this folder instead.",
)
@click.option(
    "--measurement",
    "key",
    metavar="NAME",
    default="likelihood",
    show_default=True,
    help="Show this number instead; NAME?SETTING=VALUE for one with settings of its own.",
)
def command(
    task: str | None, runs: Path | None, unchecked: bool, form: str, html: Path | None, key: str
) -> None:
    """Rank the results on TASK, or on every task, and show published numbers among them.

    A rank is 1 plus the number of results that are significantly better on the same test events.
    The page that --html writes has the boards of every measurement.

    \b
    arbench leaderboard mnist
    arbench leaderboard mnist --measurement NAME
    arbench leaderboard mnist --runs runs
    arbench leaderboard --html boards
    """  # noqa: D301 - click wants the character
    from arbench.boards.board_text import (
        ABOUT_GROUPS,
        ABOUT_GROWING,
        ABOUT_RANKS,
        Format,
        boards_text,
    )

    (chosen,) = (f for f in get_args(Format) if f == form)
    if key != "likelihood":
        if html is not None:
            raise click.UsageError("--html shows every measurement; leave out --measurement")
        from arbench.boards.measured_boards import find_measured_boards
        from arbench.boards.measured_text import ABOUT_MEASURED, measured_boards_text

        measured, left_out = find_measured_boards(task, runs=runs, key=key)
        _say(left_out)
        click.echo(measured_boards_text(measured, chosen))
        if form == "table":
            click.echo(filled(f"\n{ABOUT_MEASURED}"))
        return
    if html is not None:
        from arbench.boards.boards import find_boards
        from arbench.boards.measured_boards import find_measured_boards
        from arbench.boards.page import write_page

        boards, left_out = find_boards(task, runs=runs, unchecked=unchecked)
        _say(left_out)
        write_page(html, boards, find_measured_boards(task, runs=runs)[0])
        click.echo(html / "index.html")
        return
    shown = _boards(task, runs, unchecked)
    click.echo(boards_text(shown, chosen))
    if form == "table":
        click.echo(filled(f"\n{ABOUT_RANKS}"))
        if any(board.has_groups for board in shown):
            click.echo(filled(f"\n{ABOUT_GROUPS}"))
        if any(row.still_growing for board in shown for row in board.rows):
            click.echo(filled(f"\n{ABOUT_GROWING}"))


def _boards(task: str | None, runs: Path | None, unchecked: bool) -> Sequence[Board]:
    """The boards to show; where nothing new is asked for, without torch."""
    from arbench.boards.kept import kept_boards

    ready = kept_boards(task, unchecked=unchecked) if runs is None else None
    if ready is not None:
        return ready
    from arbench.boards.boards import find_boards

    boards, left_out = find_boards(task, runs=runs, unchecked=unchecked)
    _say(left_out)
    return boards


def _say(left_out: Sequence[str]) -> None:
    """Name what is on no board, and why."""
    from arbench.show.escaping import one_line

    for reason in left_out:
        click.echo(f"left out: {one_line(reason)}", err=True)
