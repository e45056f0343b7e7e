"""`arbench plot`: the training curves of runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--against",
    type=click.Choice(["epochs", "steps", "time"]),
    default="epochs",
    show_default=True,
    help="What the curves go over.",
)
@click.option("--bits", is_flag=True, help="Bits per dim instead of nats.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("curves.png"),
    show_default=True,
    help="The picture to write, a .png or .svg file.",
)
def plot(runs: tuple[str, ...], against: str, bits: bool, out: Path) -> None:
    """Draw the training curves of each RUN into one chart.

    RUN is a folder, also of a run that is still going on, a zoo entry such as mnist/nade, or
    hf:org/name@revision. A validation curve is solid and a train curve dashed. What is trained on
    counts as it was seen in training: with dropout and the like, and a mean over all steps since
    the evaluation before.

    \b
    arbench plot mnist/nade mnist/fvsbn mnist/pixelcnn --out curves.svg
    arbench plot RUN --against time
    """  # noqa: D301 - click wants the character
    from arbench import ConfigError, require_file, training_curve
    from arbench_plots.chart import draw_curves, require_drawable

    if out.suffix not in (".png", ".svg"):
        raise ConfigError(f"--out {out}: charts are written as .png or .svg")
    require_file(out, "curves.png")
    curves = [training_curve(run) for run in runs]
    require_drawable(curves, runs, bits=bits)
    draw_curves(curves, runs, out, against=against, bits=bits)
    click.echo(f"{len(curves)} {'run' if len(curves) == 1 else 'runs'}: {out}")
