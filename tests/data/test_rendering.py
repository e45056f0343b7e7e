"""Renderings: text and values are two views of one thing, and files hold what was drawn."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from arbench.data.formats import mu_law
from arbench.data.formats.midi import read_midi
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
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.show.samples import draw_waveforms, left_out, output_path, save_samples

GREY = EventSpec((1, 3, 4), Discrete(2))
ROW = EventSpec((4,), Discrete(2))
ABC = TextRendering(symbols=("\n", "a", "b", "c"))
NAMES = TextRendering(symbols=("\n", "a", "b", "c"), end=0)
BYTES = TextRendering()
MU_LAW = AudioRendering(sample_rate=8000, companding="mu-law")


@given(st.text(alphabet="\nabc"))
def test_a_text_of_symbols_comes_back(text: str) -> None:
    values = ABC.encode(text)
    assert values.dtype == torch.uint8
    assert values.tolist() == ["\nabc".index(character) for character in text]
    assert ABC.decode(values) == text


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_a_text_of_bytes_comes_back(text: str) -> None:
    assert BYTES.decode(BYTES.encode(text)) == text


@given(st.lists(st.integers(0, 255)))
def test_bytes_never_fail(values: list[int]) -> None:
    text = BYTES.decode(torch.tensor(values, dtype=torch.int64))
    assert text == bytes(values).decode("utf-8", errors="replace")


def test_many_symbols_need_wider_values() -> None:
    rendering = TextRendering(symbols=tuple(map(chr, range(0x4E00, 0x4E00 + 300))))
    values = rendering.encode("\u4e00\u4f2b")
    assert values.dtype == torch.int64
    assert values.tolist() == [0, 299]


@pytest.mark.parametrize("character", ["d", "\x00", "é", "\U0001f600", "\ud800"])
def test_an_unknown_character_is_named_with_its_offset(character: str) -> None:
    with pytest.raises(ValueError, match=r"at offset 1,001 is none of the 4 known") as caught:
        ABC.encode("a" * 1001 + character + "b")
    assert repr(character) in str(caught.value)


def test_what_follows_the_end_is_not_shown() -> None:
    assert NAMES.decode(torch.tensor([1, 2, 0, 3, 3])) == "ab"
    assert NAMES.decode(torch.tensor([1, 2, 3])) == "abc"
    assert ABC.decode(torch.tensor([1, 0, 3])) == "a\nc"


@pytest.mark.parametrize(
    "values",
    [
        {"symbols": ["a", "a"]},
        {"symbols": ["a", "bc"]},
        {"symbols": ["a", ""]},
        {"symbols": ["a", "\ud800"]},
        {"symbols": ["a"]},
        {"symbols": ["a", "b"], "end": -1},
        {"symbols": ["a", "b"], "shell": "sh"},
    ],
)
def test_what_is_no_alphabet_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TextRendering.model_validate(values)


@pytest.mark.parametrize(
    "rendering", [ImageRendering(), TableRendering(), ABC, NAMES, BYTES, MU_LAW]
)
def test_json_gives_the_same_rendering(rendering: Rendering) -> None:
    text = json.dumps(rendering.model_dump(mode="json"))
    assert TypeAdapter(Rendering).validate_python(json.loads(text)) == rendering


@pytest.mark.parametrize(
    ("rendering", "spec"),
    [
        (ABC, EventSpec((4,), Discrete(5))),
        (BYTES, EventSpec((4,), Discrete(255))),
        (ABC, EventSpec((1, 2, 2), Discrete(4))),
        (TextRendering(symbols=("a", "b"), end=2), EventSpec((4,), Discrete(2))),
        (MU_LAW, EventSpec((4,), Discrete(2))),
        (MU_LAW, EventSpec((4,), Real())),
        (ImageRendering(), ROW),
        (ImageRendering(), EventSpec((2, 3, 4), Discrete(2))),
        (ImageRendering(), EventSpec((1, 3, 4), Real())),
    ],
)
def test_a_rendering_that_does_not_fit_is_refused(rendering: Rendering, spec: EventSpec) -> None:
    with pytest.raises(ValueError, match="no rendering of|can be drawn|none of"):
        rendering.check(spec)


def test_images_are_drawn_where_nobody_says_otherwise_if_they_can_be() -> None:
    assert natural_rendering(GREY) == ImageRendering()
    for spec in (ROW, EventSpec((2, 3, 4), Discrete(2)), EventSpec((1, 3, 4), Real())):
        assert natural_rendering(spec) == TableRendering()


@pytest.mark.parametrize(
    ("name", "rendering", "words"),
    [
        ("", ImageRendering(), "is a folder; give a file in it, such as .*samples.png"),
        ("nowhere/a.png", ImageRendering(), "does not exist"),
        ("a.jpg", ImageRendering(), "images are written as .png"),
        ("a.png", TableRendering(), "rows are written as .csv or .txt"),
        ("a.csv", BYTES, "text is written as .txt"),
        ("a.txt", MU_LAW, "sound is written as .wav"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, name: str, rendering: Rendering, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        output_path(tmp_path / name, rendering)
    assert not list(tmp_path.iterdir())


def test_a_place_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not by chmod: the super-user may write everywhere.
    place = tmp_path / "a.png"
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(ConfigError, match="may not write"):
        output_path(place, ImageRendering())
    place.touch()  # a new file takes its place, and that is made in the folder
    with pytest.raises(ConfigError, match="may not write"):
        output_path(place, ImageRendering())
    monkeypatch.setattr("os.access", lambda path, mode: path != place)
    with pytest.raises(ConfigError, match="may not write"):
        output_path(place, ImageRendering())
    monkeypatch.undo()
    assert output_path(place, ImageRendering()) == place


def test_rows_as_csv_and_as_text(tmp_path: Path) -> None:
    events = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0]])
    assert save_samples(tmp_path / "a.csv", events, ROW).read_text() == "0,1,1,0\n1,0,0,0\n"
    assert save_samples(tmp_path / "a.txt", events, ROW).read_text() == "0 1 1 0\n1 0 0 0\n"
    assert save_samples(tmp_path, events, ROW) == tmp_path / "samples.csv"


def test_names_stand_on_lines_and_texts_apart(tmp_path: Path) -> None:
    events = torch.tensor([[1, 2, 0, 3], [3, 0, 0, 0]])
    spec = EventSpec((4,), Discrete(4))
    names = save_samples(tmp_path / "names.txt", events, spec, rendering=NAMES)
    assert names.read_text() == "ab\nc\n"
    texts = save_samples(tmp_path / "texts.txt", events, spec, rendering=ABC)
    assert texts.read_text() == f"ab\nc\n{'-' * 40}\nc\n\n\n\n"


@pytest.mark.parametrize("companding", ["mu-law", "g711", "linear"])
def test_sounds_are_written_as_their_levels_say(tmp_path: Path, companding: str) -> None:
    levels = torch.arange(256).view(2, 128)
    rendering = AudioRendering(sample_rate=400, companding=companding)
    spec = EventSpec((128,), Discrete(256))
    path = save_samples(tmp_path / "samples.wav", levels, spec, rendering=rendering)
    track, sample_rate = soundfile.read(path)
    assert sample_rate == 400
    assert track.shape == (2 * (128 + 100),)
    sounds = track.reshape(2, 228)[:, :128].ravel()
    if companding == "mu-law":
        np.testing.assert_array_equal(mu_law.encode(sounds), np.arange(256))
    elif companding == "g711":
        np.testing.assert_array_equal(sounds, mu_law.decode_codes(np.arange(256)))
    else:
        np.testing.assert_allclose(sounds, (np.arange(256) - 127.5) / 128, atol=1 / 32768)
    assert Image.open(tmp_path / "samples.png").size == (800, 120)


def test_sounds_are_written_to_the_nearest_step(tmp_path: Path) -> None:
    """The library rounds floats down, which is half a step too low on the average."""
    levels = torch.arange(256).repeat(2)[None]
    rendering = AudioRendering(sample_rate=4, companding="mu-law")
    path = save_samples(
        tmp_path / "samples.wav", levels, EventSpec((512,), Discrete(256)), rendering=rendering
    )
    steps = soundfile.read(path, dtype="int16")[0][:512] - rendering.amplitudes(levels)[0] * 2**15
    assert np.abs(steps).max() <= 0.5
    assert abs(steps.mean()) < 0.05


def test_a_waveform_goes_through_its_extremes() -> None:
    time = np.arange(8000)
    loud, quiet = np.sin(2 * np.pi * time / 1000), np.zeros(8000)
    picture = np.asarray(draw_waveforms(np.stack([loud, quiet])))
    ink = picture == 0
    assert ink.any(0).all()
    assert ink[:60].any(1).all()  # from -1 to 1
    assert ink[60:].any(1).sum() == 1  # one straight line
    assert ink[10, :50].any()  # up first
    assert not ink[50, :50].any()


def test_waveforms_are_drawn_to_one_scale_that_the_loudest_fills() -> None:
    time = np.arange(8000)
    sound = np.sin(2 * np.pi * time / 1000)
    ink = np.asarray(draw_waveforms(np.stack([0.2 * sound, 0.1 * sound, 0.001 * sound]))) == 0
    heights = [ink[row : row + 60].any(1).sum() for row in (0, 60, 120)]
    assert heights[0] == 60
    assert 29 <= heights[1] <= 31
    assert heights[2] <= 2
    # Noise that is no louder than the rounding of 8 bits is no sound.
    assert (np.asarray(draw_waveforms(0.001 * sound[None])) == 0).any(1).sum() <= 3


def test_music_comes_back_from_its_midi_file(tmp_path: Path) -> None:
    """Two pieces, the second silent at its end, with a bar of silence after each."""
    music = MusicRendering(steps_per_beat=1, beats_per_minute=80)
    spec = EventSpec((1, 6, 88), Discrete(2))
    music.check(spec)
    events = torch.zeros(2, 1, 6, 88, dtype=torch.int64)
    events[0, 0, :, [30, 34]] = 1
    events[1, 0, 1, 40] = 1
    assert [len(piece) for piece in music.pieces(events)] == [6, 2]
    assert len(music.pieces(torch.zeros_like(events))[0]) == 1
    out = output_path(tmp_path / "a.mid", music)
    assert save_samples(out, events, spec, rendering=music) == out
    read = read_midi(out.read_bytes(), "a.mid", steps_per_beat=1)
    assert read.shape == (6 + 4 + 2, 88)
    assert read[:6].sum() == 12
    assert read.nonzero()[0].tolist()[-1] == 6 + 4 + 1
    assert read[11, 40]
    assert soundfile.info(tmp_path / "a.wav").duration == pytest.approx(16 * 60 / 80, abs=0.2)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.height > 40


def test_without_mido_music_is_heard_and_seen_and_no_file_is_midi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    music, spec = MusicRendering(steps_per_beat=1), EventSpec((1, 4, 88), Discrete(2))
    assert left_out(music) is None
    monkeypatch.setitem(sys.modules, "mido", None)
    assert left_out(ImageRendering()) is None
    note = left_out(music)
    assert note is not None
    assert "no samples.mid" in note
    assert "pip install 'arbench[music]'" in note
    events = torch.zeros(2, 1, 4, 88, dtype=torch.uint8)
    assert save_samples(tmp_path, events, spec, rendering=music).name == "samples.wav"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["samples.png", "samples.wav"]
    with pytest.raises(ConfigError, match=r"a\.mid: .* pip install 'arbench\[music\]'"):
        output_path(tmp_path / "a.mid", music)
    assert output_path(tmp_path / "a.wav", music) == tmp_path / "a.wav"


@pytest.mark.parametrize(
    "spec", [ROW, EventSpec((1, 6, 87), Discrete(2)), EventSpec((1, 6, 88), Discrete(3))]
)
def test_what_is_no_piano_is_no_music(spec: EventSpec) -> None:
    with pytest.raises(ValueError, match="music is"):
        MusicRendering(steps_per_beat=1).check(spec)
