"""Files of the user's own become events, and what no event can say is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from arbench import (
    AudioRendering,
    DataError,
    Discrete,
    EventSpec,
    ImageRendering,
    OwnFiles,
    TextRendering,
    Windows,
    mu_law,
    text_windows,
)

BITS = EventSpec((1, 4, 5), Discrete(2))
LEVELS = EventSpec((1, 4, 5), Discrete(256))
SOUND = EventSpec((64,), Discrete(256))
LETTERS = TextRendering(symbols=("\n", "a", "b"), end=0)


def saved(levels: np.ndarray, file: Path) -> Path:
    Image.fromarray(levels).save(file)
    return file


def test_grey_pixels_become_bits_in_one_of_three_ways(tmp_path: Path) -> None:
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5) * 13
    file = saved(grey, tmp_path / "grey.png")
    assert torch.equal(
        OwnFiles(LEVELS, ImageRendering()).image(file)[0], torch.from_numpy(grey).long()
    )
    with pytest.raises(DataError, match="grey pixels"):
        OwnFiles(BITS, ImageRendering()).image(file)
    half = OwnFiles(BITS, ImageRendering(), "half").image(file)
    assert torch.equal(half[0], torch.from_numpy(grey).long().ge(128).long())
    drawn = OwnFiles(BITS, ImageRendering(), "drawn").image(file)
    assert torch.equal(drawn, OwnFiles(BITS, ImageRendering(), "drawn").image(file))
    assert not torch.equal(drawn, half)


def test_pixels_are_drawn_by_their_level(tmp_path: Path) -> None:
    spec = EventSpec((1, 100, 100), Discrete(2))
    file = saved(np.full((100, 100), 51, np.uint8), tmp_path / "grey.png")
    share = OwnFiles(spec, ImageRendering(), "drawn").image(file).double().mean().item()
    assert abs(share - 0.2) < 5 * (0.2 * 0.8 / 10_000) ** 0.5


@pytest.mark.parametrize("grey", ["refused", "half", "drawn"])
def test_black_and_white_are_zero_and_one(grey: Any, tmp_path: Path) -> None:
    bits = (np.arange(20).reshape(4, 5) % 3 == 0).astype(np.uint8)
    for number, image in enumerate((Image.fromarray(255 * bits), Image.fromarray(bits > 0))):
        image.save(tmp_path / f"{number}.png")
        found = OwnFiles(BITS, ImageRendering(), grey).image(tmp_path / f"{number}.png")
        assert np.array_equal(found[0].numpy(), bits)


def test_sounds_become_levels_of_their_task(tmp_path: Path) -> None:
    amplitudes = np.linspace(-1, 0.99, 50)
    soundfile.write(tmp_path / "a.wav", amplitudes, 8000, subtype="DOUBLE")
    curved = OwnFiles(SOUND, AudioRendering(sample_rate=8000, companding="mu-law")).sound(
        tmp_path / "a.wav"
    )
    assert np.array_equal(curved.numpy(), mu_law.encode(amplitudes))
    linear = AudioRendering(sample_rate=8000, companding="linear")
    cells = OwnFiles(SOUND, linear).sound(tmp_path / "a.wav")
    assert np.abs(linear.amplitudes(cells) - amplitudes).max() <= 1 / 256 + 1e-12
    with pytest.raises(DataError, match="expected 16,000; arbench does not resample"):
        OwnFiles(SOUND, AudioRendering(sample_rate=16000, companding="linear")).sound(
            tmp_path / "a.wav"
        )
    with pytest.raises(DataError, match="telephone codes"):
        OwnFiles(SOUND, AudioRendering(sample_rate=8000, companding="g711")).sound(
            tmp_path / "a.wav"
        )


def test_words_and_texts(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("ab\n\nb\n")
    own = OwnFiles(EventSpec((4,), Discrete(3)), LETTERS)
    found = own.words(tmp_path / "words.txt")
    assert found.tolist() == [[1, 2, 0, 0], [0, 0, 0, 0], [2, 0, 0, 0]]
    assert own.text(tmp_path / "words.txt").tolist() == [1, 2, 0, 0, 2, 0]
    (tmp_path / "words.txt").write_text("ab\nc\n")
    with pytest.raises(DataError, match="line 2"):
        own.words(tmp_path / "words.txt")
    with pytest.raises(DataError, match="cannot be read"):
        own.text(tmp_path / "none.txt")


def test_what_is_no_such_file_is_told_what_would_be(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ab\xff")
    own = OwnFiles(EventSpec((4,), Discrete(3)), LETTERS)
    with pytest.raises(DataError, match="text in UTF-8, and byte 2 is"):
        own.text(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("a\nb")
    with pytest.raises(DataError, match="a line break after the last"):
        own.words(tmp_path / "a.txt")
    file = saved(np.zeros((4, 5), np.uint8), tmp_path / "a.png")
    with pytest.raises(DataError, match="levels 0 to 7, .* under the key 'events' of an npz"):
        OwnFiles(EventSpec((1, 4, 5), Discrete(8)), ImageRendering()).image(file)
    with pytest.raises(DataError, match=r"found \(1, 4, 5\), and events have \(1, 9, 9\) channels"):
        OwnFiles(EventSpec((1, 9, 9), Discrete(2)), ImageRendering()).image(file)


def test_archives_hold_events_of_the_spec(tmp_path: Path) -> None:
    events = np.zeros((3, 1, 4, 5), np.uint8)
    np.savez(tmp_path / "a.npz", events=events)
    assert OwnFiles(BITS, ImageRendering()).archive(tmp_path / "a.npz").shape == (3, 1, 4, 5)
    np.savez(tmp_path / "a.npz", events=events + 2)
    with pytest.raises(DataError, match="found 2, expected integers in"):
        OwnFiles(BITS, ImageRendering()).archive(tmp_path / "a.npz")


@pytest.mark.parametrize("length", [1, 5, 8, 9, 30])
def test_every_symbol_of_a_text_is_scored_once(length: int) -> None:
    split = text_windows(torch.arange(length), Windows(context=8, stride=3))
    assert split.scored is not None
    assert split.events[split.scored].tolist() == [*range(length)]
