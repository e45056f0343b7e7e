"""Draws samples and writes them to a file: a grid of images, csv, text, wav or MIDI."""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from arbench.data.rendering import (
    AudioRendering,
    ImageRendering,
    MusicRendering,
    Rendering,
    TableRendering,
    TextRendering,
    natural_rendering,
)
from arbench.errors import ConfigError
from arbench.files.atomic import atomic_path, require_file, write_text
from arbench.probability.events import Discrete, EventSpec

if TYPE_CHECKING:
    from arbench.data.formats.piano_keys import Steps

NUM_SAMPLES = 64  # in a run's folder
_GAP = 2
MIN_SIDE = 600
_GIVEN_COLOUR = (230, 120, 0)
_WAVE_WIDTH, _WAVE_HEIGHT, MOST_WAVES = 800, 60, 8
MOST_PIECES = 8  # in a picture and in a wav
# The first ending of each kind is the one used where nobody names a file.
_ENDINGS: dict[str, tuple[tuple[str, ...], str]] = {
    "image": ((".png", ".svg"), "images are written as .png or .svg"),
    "table": ((".csv", ".txt"), "rows are written as .csv or .txt"),
    "text": ((".txt",), "text is written as .txt"),
    "audio": ((".wav",), "sound is written as .wav"),
    "music": (
        (".mid", ".wav"),
        "music is written as .mid, with a .wav and a .png beside it, or as .wav with a .png",
    ),
}


def output_path(path: Path | None, rendering: Rendering) -> Path:
    """Where events can be written; ask before drawing them, which may take long.

    Args:
        path: the file asked for; None is `samples.png` or the like, as the rendering has it, in the
            current folder.
        rendering: of the events.

    Raises:
        ConfigError: if nothing can be written there or the ending does not fit.
    """
    endings, wanted = _ENDINGS[rendering.kind]
    name = "samples" + endings[0]
    path = path or Path(name)
    require_file(path, name)
    if path.suffix.lower() not in endings:
        raise ConfigError(f"{path}: {wanted}")
    if path.suffix.lower() == ".mid" and (missing := _missing()):
        raise ConfigError(f"{path}: {missing}")
    return path


def left_out(rendering: Rendering) -> str | None:
    """What a folder of samples lacks, and what to install for it; None if nothing."""
    missing = _missing() if rendering.kind == "music" else None
    return missing and f"there will be no samples.mid, only samples.wav: {missing}"


def _missing() -> str | None:
    from arbench.data.formats.midi import missing_library

    return missing_library()


def save_samples(
    path: Path,
    events: Tensor,
    spec: EventSpec,
    *,
    rendering: Rendering | None = None,
    known: Tensor | None = None,
) -> Path:
    """Write events as people like to look at them, or listen to them.

    Images are a PNG grid. A table is lines of values, in a csv with commas, which `table:PATH`
    reads, in a txt with spaces, below the names of the columns if there are any. Texts stand below
    one another: names a line each, longer pieces with a line of dashes between them. Sounds follow
    one another in one wav, pieces of music in one MIDI file.

    Args:
        path: the file, as `output_path` has it; in a folder it is called `samples.png` or the like.
        events: `(B, *event_shape)`.
        spec: their spec.
        rendering: how; by default `natural_rendering`.
        known: `event_shape` boolean, which dims were given; a picture marks them.

    Returns:
        The file written.
    """
    rendering = rendering or natural_rendering(spec)
    if path.is_dir():
        endings, _ = _ENDINGS[rendering.kind]
        path /= "samples" + (endings[-1] if left_out(rendering) else endings[0])
    match rendering:
        case ImageRendering():
            save_picture(draw_grid(events, spec, known=known), path)
        case TableRendering():
            lines = [*([rendering.header] if rendering.header else []), *rendering.rows(events)]
            between = "," if path.suffix.lower() == ".csv" else " "
            text = io.StringIO(newline="")
            csv.writer(text, delimiter=between, lineterminator="\n").writerows(lines)
            write_text(path, text.getvalue())
        case TextRendering():
            write_text(path, join_texts([rendering.decode(event) for event in events], rendering))
        case AudioRendering():
            _save_sound(path, events, rendering)
        case MusicRendering():
            save_music(
                path,
                rendering.pieces(events),
                steps_per_beat=rendering.steps_per_beat,
                beats_per_minute=rendering.beats_per_minute,
                num_given=0 if known is None else int(known[0].all(1).sum()),
            )
    return path


def join_texts(texts: Sequence[str], rendering: TextRendering) -> str:
    """All texts in one, ending in a newline.

    Texts with an end of their own stand on a line each; others have a line of dashes in between.
    """
    between = "\n" if rendering.end is not None else f"\n{'-' * 40}\n"
    return between.join(texts) + "\n"


def _save_sound(path: Path, events: Tensor, rendering: AudioRendering) -> None:
    """All sounds, one after another with a quarter of a second in between, and their picture."""
    amplitudes = rendering.amplitudes(events)
    pause = np.zeros((len(amplitudes), rendering.sample_rate // 4))
    track = np.concatenate([amplitudes, pause], axis=1).ravel()
    _write_wav(path, track, rendering.sample_rate)
    save_picture(draw_waveforms(amplitudes), path.with_suffix(".png"))


def _write_wav(path: Path, track: NDArray[np.float64], sample_rate: int) -> None:
    """Write amplitudes `(N,)` in (-1, 1) with 16 bits each."""
    import soundfile  # only sound needs it

    sound = io.BytesIO()  # the library wraps a full disk in an error of its own
    # The library rounds floats down, half a step too low in the mean; nothing is as loud as 2^15.
    whole = np.rint(track * 2.0**15).astype(np.int16)
    soundfile.write(sound, whole, sample_rate, subtype="PCM_16", format="WAV")
    with atomic_path(path) as temporary:
        temporary.write_bytes(sound.getbuffer())


def save_music(
    path: Path,
    pieces: Sequence[Steps],
    *,
    steps_per_beat: int,
    beats_per_minute: float = 120.0,
    num_given: int = 0,
) -> Path:
    """Write pieces as MIDI, one after another with a bar of silence in between.

    The first of them, `MOST_PIECES` at most, can be heard in a wav beside it and seen in a PNG.

    Args:
        path: the file, which ends in `.mid`, or in `.wav`: then there is no MIDI.
        pieces: `(steps, 88)` boolean each, one at least.
        steps_per_beat: how many steps a quarter note has.
        beats_per_minute: the tempo, in quarter notes.
        num_given: steps at the beginning of each that were given; the picture marks them.

    Returns:
        The file.

    Raises:
        ConfigError: if it is to be MIDI, and mido is not installed.
    """
    # Nothing of music is imported where there is none.
    from arbench.data.formats.midi import write_midi
    from arbench.data.formats.tones import TONE_RATE, tones
    from arbench.show.piano_rolls import draw_piano_rolls

    beat: dict[str, Any] = {"steps_per_beat": steps_per_beat}
    if path.suffix.lower() == ".mid":
        row = _in_a_row(pieces, steps_per_beat)
        midi = write_midi(row, **beat, beats_per_minute=beats_per_minute)
        with atomic_path(path) as temporary:
            temporary.write_bytes(midi)
    shown = pieces[:MOST_PIECES]
    step_s = 60 / beats_per_minute / steps_per_beat
    sound = tones(_in_a_row(shown, steps_per_beat), step_s=step_s)
    _write_wav(path.with_suffix(".wav"), sound, TONE_RATE)
    picture = draw_piano_rolls(shown, **beat, num_given=num_given)
    save_picture(picture, path.with_suffix(".png"))
    return path


def _in_a_row(pieces: Sequence[Steps], steps_per_beat: int) -> Steps:
    """All pieces as one, with four silent beats after each."""
    bar = ((0, 4 * steps_per_beat), (0, 0))
    return np.concatenate([np.pad(piece, bar) for piece in pieces])


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture atomically, as PNG or, if its path ends so, as an SVG that holds it."""
    if path.suffix.lower() == ".svg":
        write_text(path, svg_of(picture.size, [svg_image(picture, (0, 0), picture.size)]))
        return
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def svg_image(picture: Image.Image, place: tuple[int, int], size: tuple[int, int]) -> str:
    """An element of an SVG: pixels that stay sharp however large they are shown."""
    png = io.BytesIO()
    picture.save(png, format="PNG")
    data = base64.b64encode(png.getvalue()).decode("ascii")
    return (
        f'<image x="{place[0]}" y="{place[1]}" width="{size[0]}" height="{size[1]}" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
    )


def svg_of(size: tuple[int, int], elements: Sequence[str]) -> str:
    """An SVG of that many pixels on white, so that it can be read on any page."""
    width, height = size
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
    background = f'<rect width="{width}" height="{height}" fill="white"/>'
    lines = [f'{start} width="{width}" height="{height}">', background, *elements, "</svg>"]
    return "\n".join(lines) + "\n"


def draw_grid(
    events: Tensor,
    spec: EventSpec,
    *,
    columns: int | None = None,
    known: Tensor | None = None,
) -> Image.Image:
    """A grid of images, enlarged by a whole factor so that pixels stay sharp; see `tiled`."""
    image = tiled(events, spec, columns=columns, known=known)
    return enlarged(image, max(1, MIN_SIDE // max(image.size)))


def enlarged(picture: Image.Image, factor: int) -> Image.Image:
    """A picture that many times as wide and high."""
    size = picture.width * factor, picture.height * factor
    return picture.resize(size, Image.Resampling.NEAREST)


def tiled(
    events: Tensor,
    spec: EventSpec,
    *,
    columns: int | None = None,
    known: Tensor | None = None,
) -> Image.Image:
    """A grid of images, one pixel for each of theirs.

    Args:
        events: `(B, C, H, W)` discrete, with C 1 or 3.
        spec: their spec.
        columns: images per row; by default the grid is nearly square.
        known: `(C, H, W)` boolean; rows that were given have an orange edge left and right, in
            the gap, so that no pixel is painted over.
    """
    if len(spec.shape) != 3 or spec.shape[0] not in (1, 3):
        raise ValueError(f"only images with 1 or 3 channels can be drawn, got {spec.shape}")
    if not isinstance(spec.domain, Discrete):
        raise ValueError("only discrete images can be drawn")
    channels, height, width = spec.shape
    columns = columns or math.ceil(math.sqrt(len(events)))
    rows = math.ceil(len(events) / columns)
    levels = events.cpu().numpy().astype(np.float64) * (255 / (spec.domain.size - 1))
    tiles = np.round(levels).astype(np.uint8).transpose(0, 2, 3, 1)
    # Between the tiles: mid-grey, which neither ink nor paper of binary images is.
    shape = (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, channels)
    canvas = np.full(shape, 96, dtype=np.uint8)
    given = None if known is None else np.flatnonzero(known.cpu().numpy().all((0, 2)))
    if given is not None:
        canvas = np.repeat(canvas, 3 // channels, axis=-1)
    for index, tile in enumerate(tiles):
        top = _GAP + (index // columns) * (height + _GAP)
        left = _GAP + (index % columns) * (width + _GAP)
        canvas[top : top + height, left : left + width] = tile
        if given is not None:
            canvas[(top + given)[:, None], [left - 1, left + width]] = _GIVEN_COLOUR
    return Image.fromarray(canvas.squeeze(-1) if canvas.shape[-1] == 1 else canvas)


def loudest(amplitudes: NDArray[np.float64]) -> float:
    """The largest amplitude, or a twentieth where all are quieter: silence stays a line."""
    return max(float(np.abs(amplitudes).max()), 0.05)


def draw_waveforms(amplitudes: NDArray[np.float64], *, peak: float | None = None) -> Image.Image:
    """The first few sounds below one another: in every column, from the lowest to the highest.

    Args:
        amplitudes: `(B, T)` in [-1, 1].
        peak: the amplitude that fills a row, the same one for all, so that loud and quiet can be
            told apart; by default that of the `loudest` shown.
    """
    shown = amplitudes[:MOST_WAVES]
    shown = shown / (peak or loudest(shown))
    canvas = np.full((len(shown) * _WAVE_HEIGHT, _WAVE_WIDTH), 255, dtype=np.uint8)
    edges = np.linspace(0, shown.shape[1], _WAVE_WIDTH + 1)
    for row, wave in enumerate(shown):
        for column in range(_WAVE_WIDTH):
            # Each column reaches into the next sample, so that the line has no gaps.
            first, last = int(edges[column]), math.ceil(edges[column + 1]) + 1
            piece = 0.5 * (1 - wave[first:last]) * (_WAVE_HEIGHT - 1)
            top, bottom = (row * _WAVE_HEIGHT + round(y) for y in (piece.min(), piece.max()))
            canvas[top : bottom + 1, column] = 0
    return Image.fromarray(canvas)
