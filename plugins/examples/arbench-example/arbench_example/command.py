"""`arbench perplexity`: 2 to the power of bits per dim."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def perplexity(run: Path) -> None:
    """Show the perplexity per dim of RUN on its test events.

    A perplexity of 2 is as uncertain as a fair coin.

    RUN is a folder, a zoo entry such as mnist/nade, or hf:org/name@revision.
    """
    # Imported here, so that `--help` is quick.
    from arbench import DataError, Record, RunFolder, find_run

    folder = RunFolder(find_run(run))
    folder.require_finished()
    bits = Record.read(folder.record).splits["test"].bits_per_dim
    if bits is None:
        raise DataError(f"{run} is on real data, which have no perplexity")
    click.echo(f"{2**bits:.4f}")
