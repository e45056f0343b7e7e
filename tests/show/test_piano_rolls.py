"""Piano rolls show every note where it is, and music is written with its sound and its picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from arbench.data.formats.midi import read_midi
from arbench.show.piano_rolls import draw_piano_rolls
from arbench.show.samples import MOST_PIECES, save_music

BLUE, DARK, ORANGE = [0, 114, 178], [0, 58, 96], [230, 120, 0]


def _piece(num_steps: int) -> np.ndarray:
    """Middle C for two steps, then the D above it for one; at the end, silence."""
    piece = np.zeros((num_steps, 88), dtype=np.bool_)
    piece[0:2, 39] = piece[2, 41] = True
    return piece


def _columns(picture: np.ndarray, colour: list[int], top: int) -> set[int]:
    """The steps that have a colour in the row of pixels at the top of a key's row."""
    return {(int(x) - 12) // 12 for x in np.flatnonzero((picture[top] == colour).all(-1))}


def test_a_note_is_a_bar_in_the_row_of_its_key() -> None:
    picture = np.asarray(draw_piano_rolls([_piece(5)], steps_per_beat=2))
    assert picture.shape == (12 * 4 + 24, 5 * 12 + 24, 3)  # the octave of middle C
    bottom = 12 + 48
    assert _columns(picture, DARK, bottom - 4) == {0}
    assert _columns(picture, BLUE, bottom - 4) == {1}
    assert _columns(picture, DARK, bottom - 12) == {2}
    marked = (picture == DARK).all(-1) | (picture == BLUE).all(-1)
    assert marked.sum() == 3 * 12 * 3  # a pixel of each row stays paper


def test_given_steps_are_orange_up_to_where_they_end() -> None:
    picture = np.asarray(draw_piano_rolls([_piece(5)], steps_per_beat=2, num_given=1))
    bottom = 12 + 48
    assert _columns(picture, ORANGE, bottom - 4) == {0}
    assert _columns(picture, BLUE, bottom - 4) == {1}
    assert _columns(picture, DARK, bottom - 12) == {2}


def test_pieces_of_any_lengths_stand_below_one_another() -> None:
    silent = np.zeros((3, 88), dtype=np.bool_)
    picture = draw_piano_rolls([_piece(5), silent, _piece(3000)], steps_per_beat=1)
    assert picture.size == (3000 + 24, 3 * (48 + 12) + 12)


def test_music_is_a_midi_file_with_its_sound_and_its_picture(tmp_path: Path) -> None:
    pieces = [_piece(4)] * (MOST_PIECES + 1)
    file = save_music(tmp_path / "chorale.mid", pieces, steps_per_beat=2, beats_per_minute=120)
    assert file == tmp_path / "chorale.mid"
    bar = 4 * 2
    read = read_midi(file.read_bytes(), "x", steps_per_beat=2)
    assert read[[n * (4 + bar) for n in range(len(pieces))], 39].all()
    assert read.sum() == 3 * len(pieces)
    assert len(read) == MOST_PIECES * (4 + bar) + 3
    heard = soundfile.info(tmp_path / "chorale.wav")
    assert heard.duration - 0.06 == MOST_PIECES * (4 + bar) * 0.25
    picture = Image.open(tmp_path / "chorale.png")
    assert picture.height == MOST_PIECES * (48 + 12) + 12


def test_the_same_music_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_music(tmp_path / f"{name}.mid", [_piece(4)], steps_per_beat=4)
    for ending in ("mid", "wav", "png"):
        one, other = (tmp_path / f"{name}.{ending}" for name in ("a", "b"))
        assert one.read_bytes() == other.read_bytes()
