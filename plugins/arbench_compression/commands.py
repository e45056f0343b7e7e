"""`arbench compress` and `arbench decompress`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arbench import OpenedRun
    from arbench_compression.content import Content
    from arbench_compression.file import Identity


@click.command()
@click.argument("run")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    help="Compress a split of the run's task instead of files.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N events or windows.")
@click.option("--task", metavar="TASK", help="Where your own data are, such as images:PATH.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to write.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 1024),
    default=256,
    show_default=True,
    help="How many events are coded side by side; a text is coded symbol by symbol.",
)
def compress(
    run: str,
    files: tuple[Path, ...],
    split: str | None,
    limit: int | None,
    task: str | None,
    out: Path,
    batch_size: int,
) -> None:
    """Write events into a file of about as many bits as the model of RUN finds likely.

    RUN is a folder, a zoo entry such as mnist/nade, or hf:org/name@revision. Only the same model
    reads the file again. FILES are a text, images of the events' own size, or an npz archive.

    \b
    arbench compress mnist/nade --split test --out digits.arb
    arbench compress shakespeare/gpt poem.txt --out poem.arb
    """  # noqa: D301 - click wants the character
    from arbench import ConsoleReporter, in_bits, open_run
    from arbench_compression import codec, own

    if (split is None) == (not files):
        raise click.UsageError("give FILES, or --split test.")
    if files and (task or limit):
        raise click.UsageError("--task and --limit belong to --split.")
    own.require_place(out)
    opened = open_run(run)
    path = codec.path_of(opened.density, opened.windows)
    content, unit = _content(opened, files, split, task, limit, batch_size)
    with ConsoleReporter().bar("compressing") as advance:
        coded, sizes = codec.compress(path, content, _identity(opened), out, advance)
    ideal = in_bits(coded.ideal_nats.sum().item()) / 8
    click.echo(
        f"{out}: {_counted(content.plan.num_items, unit)} in {sizes.payload + sizes.lengths:,} "
        f"bytes and a header of {sizes.header}; the likelihood says {ideal:,.1f}"
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where the events go; see above.")
@click.option("--run", help="The run that wrote it; those that come with arbench are found.")
def decompress(file: Path, out: Path | None, run: str | None) -> None:
    """Read the events of FILE, which `arbench compress` wrote.

    A text goes to FILE.txt, all else to FILE.npz, or where --out says. Images may also go into a
    new folder. A file that is damaged, or of another model, is refused: there is never wrong data.

    \b
    arbench decompress digits.arb --out digits
    arbench decompress poem.arb --run shakespeare/gpt
    """  # noqa: D301 - click wants the character
    from arbench import ConfigError, ConsoleReporter, bundled_name, open_run
    from arbench_compression import codec, own
    from arbench_compression.file import identity_of

    wrote = identity_of(file)
    run = run or bundled_name(wrote.weights.hex())
    if run is None:
        raise ConfigError(
            f"{file}: written by {wrote.name} with the weights {wrote.weights.hex()[:12]}, which "
            "do not come with arbench: name the run with --run RUN"
        )
    opened = open_run(run)
    path = codec.path_of(opened.density, opened.windows)
    out = out or own.default_out(file, opened)
    own.require_readable_place(out, opened)
    with ConsoleReporter().bar("decompressing") as advance:
        header, content = codec.decompress(path, _identity(opened), file, advance)
    own.write_file(content, opened, out)
    what = _counted(header.plan.num_items, "event" if opened.windows is None else "symbol")
    click.echo(f"{out}: {what} of {wrote.name}, equal to what was compressed")


def _content(
    run: OpenedRun,
    files: tuple[Path, ...],
    split: str | None,
    task: str | None,
    limit: int | None,
    batch_size: int,
) -> tuple[Content, str]:
    """What is to be compressed, and what one item of it is called."""
    from arbench_compression import own
    from arbench_compression.content import content_of

    if split is None:
        return own.read_files(files, run, batch_size), "symbol" if run.windows else "event"
    dataset = run.dataset(task, limit=limit)
    events = dataset.split("test" if split == "test" else "validation")
    unit = dataset.task.unit if run.windows else "event"
    return content_of(events, run.windows, batch_size), unit


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"


def _identity(run: OpenedRun) -> Identity:
    from arbench_compression.file import Identity

    hashes = {name: bytes.fromhex(text) for name, text in run.sha256.items()}
    return Identity(run.name, hashes["config"], hashes["weights"])
