"""`arbench download`: fetch a trained run and check its files."""

from __future__ import annotations

from pathlib import Path

import click

from arbench.cli.options import UserPath


@click.command()
@click.argument("name", type=UserPath())
@click.option("--out", type=UserPath(path_type=Path), help="Copy the run to this new folder.")
def command(name: str, out: Path | None) -> None:
    """Fetch the run NAME if it is not here yet, check the hash of every file, print its folder.

    \b
    arbench download mnist/nade
    arbench download hf:org/name@revision --out nade
    """  # noqa: D301 - click wants the character
    from arbench import api

    click.echo(api.download(name, out=out))
