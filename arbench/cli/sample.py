"""`arbench sample`: draw, complete (`--given`, `--mask`) or write text (`--prompt`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arbench.cli.options import UserPath

if TYPE_CHECKING:
    from arbench.data.rendering import Rendering, TextRendering
    from arbench.runs.config import RunConfig


@click.command()
@click.argument("run", type=UserPath(path_type=Path))
@click.option(
    "-n",
    "num_events",
    type=click.IntRange(min=1, max=10**9),
    help="How many to draw [default: 64; for texts without an end: 1].",
)
@click.option(
    "--out",
    type=UserPath(path_type=Path),
    help="The file to write [default: samples.png, .csv, .wav or .mid; texts go to the terminal].",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the samples."
)
@click.option(
    "--method",
    type=click.Choice(["auto", "step", "fixed-point", "whole", "inverse"]),
    default="auto",
    show_default=True,
    help="The sampler. All that a model has give the same samples; inverse is of flows.",
)
@click.option(
    "--given",
    metavar="IMAGE|SPLIT:N",
    help="What to complete: an image file, or event N of a split, such as test:7 (the first is 0). "
    "The image needs the size and the channels of the events, with 8 bits each. For binary events, "
    "grey 128 and above becomes 1.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    help="How many rows of the image are given; for other events, how many dims.",
)
@click.option(
    "--mask",
    type=UserPath(path_type=Path),
    metavar="IMAGE",
    help="Instead of --rows: which pixels of the image are given, white in an image of black and "
    "white. If they do not come first in the model's order, the model has to answer for any order, "
    "as any-order does.",
)
@click.option("--prompt", metavar="TEXT", help="The beginning of every text.")
@click.option(
    "--length",
    type=click.IntRange(min=1),
    help="How many characters to draw after the prompt [default: 500].",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    help="How long sounds are [default: the model's window]. Beyond it, each next half window "
    "follows on the half before.",
)
@click.option(
    "--temperature",
    type=float,
    help="Divide the logits by this: below 1, likely values become likelier [default: 1].",
)
@click.option(
    "--probabilities",
    is_flag=True,
    help="Also show how likely the model found each value that it drew, given those before it.",
)
@click.option(
    "--weights",
    type=click.Choice(["float32", "bfloat16", "int8"]),
    default="float32",
    show_default=True,
    help="Round the weights to what so many bits hold: another density.",
)
@click.option("--task", metavar="TASK", help="Where your own data are, such as table:PATH.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
def command(
    run: Path,
    num_events: int | None,
    out: Path | None,
    given: str | None,
    rows: int | None,
    mask: Path | None,
    prompt: str | None,
    length: int | None,
    seconds: float | None,
    probabilities: bool,
    task: str | None,
    device: str,
    **asked: Any,
) -> None:
    """Draw events from RUN: images as a grid in a PNG, rows as csv, sounds as wav, music as MIDI.

    table:PATH reads such a csv again. A picture of completions begins with the original and with
    what was given of it; given rows have an orange edge. With --probabilities there is a second
    picture beside that of images: the probability of white, or the expected level, of every pixel
    given those before it. A text is shown on the colours of its symbols' probabilities, in the
    terminal or in a picture (--out), and sounds above those of all levels.

    \b
    arbench sample RUN -n 64 --out grid.png
    arbench sample RUN -n 16 --given test:7 --rows 14 --out completed.png
    arbench sample RUN -n 16 --given test:7 --mask mask.png --out completed.png
    arbench sample RUN -n 16 --probabilities --out samples.svg
    arbench sample RUN -n 4 --out chorale.mid
    arbench sample RUN -n 4 --seconds 2 --out spoken.wav
    arbench sample RUN --prompt "KING LEAR:" --length 1000 --temperature 0.8
    """  # noqa: D301 - click wants the character
    _require_one_of_both(given, rows, mask)
    from arbench import api
    from arbench.cli.drawing import require_shown, save_events
    from arbench.data.rendering import AudioRendering, TextRendering
    from arbench.hub.finding import find_run
    from arbench.runs.loading import read_config
    from arbench.runs.request import reopen

    config = read_config(run := find_run(run))
    rendering = config.shown
    _require_kind(run, config, given=given, prompt=prompt, length=length)
    if seconds is not None and (given or probabilities or rendering.kind != "audio"):
        raise click.UsageError("--seconds is for sounds, drawn from their beginning")
    if probabilities:
        require_shown(rendering, f"{run}")
    out = _place(out, rendering, probabilities)  # before the work, not after it
    data = None if task is None else reopen(config, task)
    if isinstance(rendering, TextRendering):
        asked |= {"prompt": prompt or "", "length": length}
        _texts(run, rendering, num_events, out, device, probabilities, asked)
        return
    density = api.load(run, device=device, unfinished=True, weights=asked.pop("weights"))
    assert out is not None  # as all have it that are not texts
    asked |= {"given": given, "rows": rows, "mask": mask}
    if isinstance(rendering, AudioRendering) and seconds is not None:
        asked["length"] = max(1, round(seconds * rendering.sample_rate))
    save_events(density, num_events or 64, out, config, data, probabilities, **asked)
    _say_where(num_events or 64, out)


def _require_one_of_both(given: str | None, rows: int | None, mask: Path | None) -> None:
    """Refuse a completion that does not say what is given, or says it twice."""
    if (given is None) != (rows is None and mask is None):
        raise click.UsageError(
            "a completion needs both --given IMAGE|SPLIT:N and --rows N (or --mask IMAGE)"
        )
    if rows is not None and mask is not None:
        raise click.UsageError("--rows and --mask both say what is given: give one of them")


def _place(out: Path | None, rendering: Rendering, probabilities: bool) -> Path | None:
    """Where the events go; None for texts that go to the terminal."""
    from arbench.data.rendering import ImageRendering, TextRendering
    from arbench.show.samples import output_path

    if isinstance(rendering, TextRendering):
        if out is None:
            return None
        return output_path(out, ImageRendering() if probabilities else rendering)
    return output_path(out, rendering)


def _texts(
    run: Path,
    rendering: TextRendering,
    num_events: int | None,
    out: Path | None,
    device: str,
    probabilities: bool,
    asked: dict[str, Any],
) -> None:
    """Draw texts, and show them or write them down."""
    from arbench import api
    from arbench.cli.drawing import show_likely_texts, with_bar
    from arbench.files.atomic import write_text
    from arbench.show.escaping import printable
    from arbench.show.samples import join_texts

    num_events = num_events or (64 if rendering.end is not None else 1)
    if probabilities:
        density = api.load(run, device=device, unfinished=True, weights=asked.pop("weights"))
        show_likely_texts(density, f"{run}", rendering, num_events, out, asked)
        return
    if out is None and num_events == 1 and sys.stdout.isatty():
        # The text itself says how far it is.
        asked["hear"] = lambda part: click.echo(printable(part), nl=False)
        (text,) = api.sample_texts(run, 1, device=device, **asked)
        click.echo(join_texts([text], rendering)[len(text) :], nl=False)
        return
    texts = with_bar(api.sample_texts, run, num_events, "texts", device=device, **asked)
    text = join_texts(texts, rendering)
    if out is None:
        click.echo(printable(text), nl=False)
        return
    write_text(out, text)
    _say_where(num_events, out)


def _say_where(num_events: int, out: Path) -> None:
    from rich.console import Console

    Console().print(f"{num_events} samples: {out}", soft_wrap=True, highlight=False)


def _require_kind(
    run: Path, config: RunConfig, *, given: str | None, prompt: str | None, length: int | None
) -> None:
    """Refuse the options of texts for what is none, and those of events for texts.

    Raises:
        ConfigError: that names them.
    """
    from arbench.errors import ConfigError

    is_text = config.shown.kind == "text"
    if is_text and given is not None:
        raise ConfigError(f"{run} is on {config.task}, a text: complete it with --prompt TEXT")
    if not is_text and (prompt is not None or length is not None):
        raise ConfigError(
            f"{run} is on {config.task}, which is not a text: leave out --prompt and --length"
        )
