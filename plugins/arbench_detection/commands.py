"""`arbench score`."""

from __future__ import annotations

from pathlib import Path

import click

_MOST_ROWS = 40


@click.command()
@click.argument("run")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--csv", "out", type=click.Path(path_type=Path), help="Write all rows into this file."
)
@click.option("--task", metavar="TASK", help="Where the run's own data are, such as images:PATH.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 or mps.")
def score(
    run: str, files: tuple[Path, ...], out: Path | None, task: str | None, device: str
) -> None:
    """How likely the model of RUN finds FILES: your own images, texts or sounds.

    RUN is a folder, a zoo entry such as mnist/nade, or hf:org/name@revision. FILES are what its
    events are: images of their size, texts, a word a line, recordings, npz archives with the key
    "events", or folders of those. What cannot be read is listed, and the exit code is then 3.

    \b
    arbench score mnist/nade digits/ --csv scores.csv
    arbench score shakespeare/gpt poem.txt
    """  # noqa: D301 - click wants the character
    from arbench import ArbenchError, ConfigError, ConsoleReporter, DataError, open_run
    from arbench_detection import judging
    from arbench_detection.own import OwnEvents

    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise ConfigError(f"{out}: a file is to be written there, in a folder that exists")
    reporter = ConsoleReporter()
    opened = open_run(run, device=device)
    own = OwnEvents(opened.density.spec, opened)
    with reporter.bar("reading") as advance:
        read = own.read(files, advance)
    if out is not None and out.resolve() in {Path(part.file).resolve() for part in read.parts}:
        raise ConfigError(f"{out} is a file that is scored: name another for the rows")
    for _, reason in read.refused:
        reporter.say(f"not read: {judging.printable(reason)}")
    num_files = len(read.parts) + len(read.refused)
    if num_files == 0:
        raise DataError(f"{files[0]}: found no files")
    if read.parts:
        try:
            typical = judging.typical_of(opened, task, reporter)
        except ArbenchError as error:
            typical = None
            reporter.say(f"typicality and p-value are left out, they need the run's data: {error}")
        found = judging.verdicts(opened.density, read, typical, reporter)
        if own.binarisation:
            reporter.say(own.binarisation)
        click.echo(judging.as_text(found, _MOST_ROWS))
        if out is not None:
            judging.write_csv(found, out)
            reporter.say(f"{out}: {len(found):,} rows")
    if read.refused:
        raise DataError(
            f"{len(read.refused):,} of {num_files:,} files could not be read, see above"
        )
