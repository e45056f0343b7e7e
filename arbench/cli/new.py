"""`arbench new`: write a plugin project to start from."""

from __future__ import annotations

from pathlib import Path

import click

from arbench.cli.options import UserPath
from arbench.scaffold.projects import KINDS, Kind, Project, write_project


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option(
    "--out",
    type=UserPath(path_type=Path),
    help="The folder to make [default: arbench-NAME in the current folder].",
)
def command(kind: Kind, name: str, out: Path | None) -> None:
    """Write a small working project for you to edit: a model, task, head or measurement NAME.

    \b
    arbench new model above
    arbench new task bars
    arbench new head logistic
    arbench new measurement tail
    """  # noqa: D301 - click wants the character
    project = Project(kind, name)
    folder = out if out is not None else Path(project.distribution)
    files = write_project(project, folder)
    click.echo(f"{folder}: a {kind} in {len(files)} files")
    for file in files:
        click.echo(f"  {file}")
    click.echo(f"next:\n  pip install -e '{folder}[test]'\n  pytest {folder}\n  {project.trial}")
