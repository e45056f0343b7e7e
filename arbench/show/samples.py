"""Writes samples to a file: png, csv, wav or text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from arbench.data.rendering import (
    AudioRendering,
    ImageRendering,
    Rendering,
    TableRendering,
    TextRendering,
    natural_rendering,
)
from arbench.errors import ConfigError
from arbench.files.atomic import atomic_path, require_file, write_text
from arbench.probability.events import EventSpec
from arbench.show.pictures import draw_grid, draw_waveforms, save_picture

NUM_SAMPLES = 64  # in a run's folder


# The first ending of each kind is the one used where nobody names a file.
_ENDINGS: dict[str, tuple[tuple[str, ...], str]] = {
    "image": ((".png",), "images are written as .png"),
    "table": ((".csv", ".txt"), "rows are written as .csv or .txt"),
    "text": ((".txt",), "text is written as .txt"),
    "audio": ((".wav",), "sound is written as .wav"),
}


def default_name(rendering: Rendering) -> str:
    """The file that samples go to where nobody names one, such as "samples.png"."""
    return "samples" + _ENDINGS[rendering.kind][0][0]


def output_path(path: Path | None, rendering: Rendering) -> Path:
    """Where events can be written; ask before drawing them, which may take long.

    Args:
        path: the file asked for; None is `default_name` in the current folder.
        rendering: of the events.

    Raises:
        ConfigError: if nothing can be written there or the ending does not fit.
    """
    name = default_name(rendering)
    path = path or Path(name)
    endings, wanted = _ENDINGS[rendering.kind]
    require_file(path, name)
    if path.suffix.lower() not in endings:
        raise ConfigError(f"{path}: {wanted}")
    return path


def save_samples(
    path: Path | None,
    events: Tensor,
    spec: EventSpec,
    *,
    rendering: Rendering | None = None,
    known: Tensor | None = None,
) -> Path:
    """Write events as people like to look at them, or listen to them.

    Images are a PNG grid. A table is lines of values, in a csv with commas and without a header,
    which `table:PATH` reads, in a txt with spaces. Texts stand below one another: names a line
    each, longer pieces with a line of dashes between them. Sounds follow one another in one wav.

    Args:
        path: the file; see `output_path`.
        events: `(B, *event_shape)`.
        spec: their spec.
        rendering: how; by default `natural_rendering`.
        known: `event_shape` boolean, which dims were given; a picture marks them.

    Returns:
        The file written.

    Raises:
        ConfigError: if nothing can be written there or the ending does not fit.
    """
    rendering = rendering or natural_rendering(spec)
    path = output_path(path, rendering)
    match rendering:
        case ImageRendering():
            save_picture(draw_grid(events, spec, known=known), path)
        case TableRendering():
            between = "," if path.suffix.lower() == ".csv" else " "
            rows = events.flatten(1).tolist()
            write_text(path, "".join(between.join(map(str, row)) + "\n" for row in rows))
        case TextRendering():
            write_text(path, join_texts([rendering.decode(event) for event in events], rendering))
        case AudioRendering():
            _save_sound(path, events, rendering)
    return path


def join_texts(texts: Sequence[str], rendering: TextRendering) -> str:
    """All texts in one, ending in a newline.

    Texts with an end of their own stand on a line each; others have a line of dashes in between.
    """
    between = "\n" if rendering.end is not None else f"\n{'-' * 40}\n"
    return between.join(texts) + "\n"


def _save_sound(path: Path, events: Tensor, rendering: AudioRendering) -> None:
    """All sounds, one after another with a quarter of a second in between, and their picture."""
    import soundfile  # only audio tasks need it

    amplitudes = rendering.amplitudes(events)
    pause = np.zeros((len(amplitudes), rendering.sample_rate // 4))
    track = np.concatenate([amplitudes, pause], axis=1).ravel()
    sound = io.BytesIO()  # the library wraps a full disk in an error of its own
    # The library rounds floats down, half a step too low in the mean; nothing is as loud as 2^15.
    whole = np.rint(track * 2.0**15).astype(np.int16)
    soundfile.write(sound, whole, rendering.sample_rate, subtype="PCM_16", format="WAV")
    with atomic_path(path) as temporary:
        temporary.write_bytes(sound.getbuffer())
    save_picture(draw_waveforms(amplitudes), path.with_suffix(".png"))
