"""MIDI: what is written plays the piece, and every note of a file is read for itself."""

from __future__ import annotations

import io
import struct
import sys

import mido
import numpy as np
import pytest

from arbench.data.formats.midi import read_midi, write_midi
from arbench.data.formats.piano_keys import HeldNote, held_notes
from arbench.data.formats.tones import TONE_RATE, tones
from arbench.errors import ConfigError, DataError

C4 = 39  # the key of middle C, MIDI note 60


def _piece(num_steps: int, *notes: HeldNote) -> np.ndarray:
    piece = np.zeros((num_steps, 88), dtype=np.bool_)
    for start, end, key in notes:
        piece[start:end, key] = True
    return piece


def _file(*tracks: bytes, kind: int = 1, division: int = 8, stated: int | None = None) -> bytes:
    """A MIDI file as no library here wrote it."""
    count = len(tracks) if stated is None else stated
    content = b"MThd" + struct.pack(">IHHH", 6, kind, count, division & 0xFFFF)
    return content + b"".join(b"MTrk" + struct.pack(">I", len(body)) + body for body in tracks)


END = b"\x00\xff\x2f\x00"
ON = b"\x00\x90\x3c\x40"  # middle C, at once


def test_held_notes_are_runs_in_the_order_of_time() -> None:
    notes = [HeldNote(0, 3, 87), HeldNote(1, 2, 0), HeldNote(1, 5, C4), HeldNote(4, 6, 87)]
    assert held_notes(_piece(6, *notes)) == notes
    assert held_notes(_piece(0)) == held_notes(_piece(4)) == []


@pytest.mark.parametrize("piece", [np.zeros((3, 88)), np.zeros((3, 87), bool), np.zeros(88, bool)])
def test_what_is_no_piece_is_refused(piece: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a piece is boolean of shape"):
        write_midi(piece, steps_per_beat=1)


@pytest.mark.parametrize("steps_per_beat", [1, 3, 64])
def test_a_piece_that_is_written_is_read_again(steps_per_beat: int) -> None:
    piece = np.random.default_rng(0).random((40, 88)) < 0.2
    piece[:3] = False  # silence before the first note stays
    content = write_midi(piece, steps_per_beat=steps_per_beat)
    np.testing.assert_array_equal(read_midi(content, "x", steps_per_beat=steps_per_beat), piece)


def test_a_file_lasts_as_long_as_its_piece_and_has_its_notes() -> None:
    piece = _piece(8, HeldNote(1, 3, C4), HeldNote(3, 4, 0))  # four silent steps at the end
    content = write_midi(piece, steps_per_beat=2, beats_per_minute=60)
    file = mido.MidiFile(file=io.BytesIO(content))
    assert file.length == pytest.approx(4.0)  # 8 steps, two a second
    now, heard = 0.0, []
    for message in file:
        now += message.time
        if message.type.startswith("note"):
            heard.append((now, message.type, message.note))
    assert heard == [
        (0.5, "note_on", 60),
        (1.5, "note_off", 60),
        (1.5, "note_on", 21),
        (2.0, "note_off", 21),
    ]


@pytest.mark.parametrize("numbers", [{"steps_per_beat": 0}, {"beats_per_minute": 1}])
def test_what_midi_cannot_say_is_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="got"):
        write_midi(_piece(1), **{"steps_per_beat": 1, **numbers})


# Two steps a beat of 8 ticks, so a step is four ticks.
@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([ON + b"\x01\x80\x3c\x00"], [[0]]),
        ([ON + b"\x00\x80\x3c\x00"], [[0]]),
        ([ON + b"\x04\x3c\x00" + b"\x00\x3c\x40" + b"\x04\x3c\x00"], [[0, 1]]),
        ([b"\x02\x90\x3c\x40\x05\x80\x3c\x40"], [[1]]),
        ([b"\x01\x90\x3c\x40\x09\x80\x3c\x40"], [[0, 1, 2]]),
        ([ON + b"\x04\x90\x3c\x40\x04\x80\x3c\x40\x08\x80\x3c\x40"], [[0, 1, 2, 3]]),
        ([ON + b"\x08\xb0\x7b\x00"], [[0, 1]]),
        ([ON + b"\x04\xb1\x7b\x00\x04\x80\x3c\x00"], [[0, 1]]),
        ([ON + b"\x04\x81\x3c\x00\x04\x80\x3c\x00"], [[0, 1]]),
        ([ON + b"\x04\x80\x3c\x40", b"\x04\x91\x3e\x40\x04\x81\x3e\x40"], [[0], [], [1]]),
        ([ON + b"\x00\x99\x3d\x40\x04\x80\x3c\x40"], [[0], []]),
        ([b"\x00\x80\x3c\x00" + ON + b"\x00\xf0\x01\xf7\x04\x80\x3c\x40"], [[0]]),
        ([b"\x00\xff\x51\x03\x01\x00\x00" + ON + b"\x04\x80\x3c\x40"], [[0]]),
    ],
    ids=[
        *("shorter than a step", "no longer than nothing", "repeated", "nearest step"),
        *("rounded at both ends", "struck again", "all notes off"),
        *("all notes off in another channel", "end in another channel", "two tracks"),
        *("drums", "end without beginning and sysex", "tempo"),
    ],
)
def test_every_note_is_read_for_itself(tracks: list[bytes], expected: list[list[int]]) -> None:
    content = _file(*(track + END for track in tracks))
    piece = read_midi(content, "x", steps_per_beat=2)
    assert [np.flatnonzero(piece[:, C4 + n]).tolist() for n in range(len(expected))] == expected
    assert piece.sum() == sum(map(len, expected))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF", "expected a MIDI file, found something else"),
        (_file(END), "found no notes"),
        (_file(b"\x00\x90\x14\x40\x04\x14\x00" + END), "MIDI note 20, expected 21 to 108"),
        (_file(ON + END), "note 60 begins at tick 0 and never ends"),
        (_file(ON + b"\x04\x3c\x00" + END)[:-6], "ends within a track"),
        (_file(ON + b"\x04\x3c\x00" + END, stated=2), "ends within a track"),
        (_file(ON + b"\x04\x3c\x00" + END, END, stated=1), "more tracks than the 1 that"),
        (_file(END, kind=2), "found MIDI format 2"),
        (_file(END, division=-25 << 8), "not counted in beats"),
        (_file(END, division=0), "not counted in beats"),
        (_file(ON + b"\xff\xff\xff\x7f\x3c\x00" + END, division=1), "steps, expected at most"),
        (_file(b"\x00\xff\x59\x02\x09\x00" + END), "mido says: Could not decode"),
        (_file(b"\x00\x90\x3c\x90" + END), "mido says: data byte"),
    ],
    ids=[
        *("sound", "silent", "organ", "hung", "cut", "track missing", "track too many", "songs"),
        *("frames", "no ticks", "endless", "ten sharps", "no velocity"),
    ],
)
def test_what_is_no_whole_piece_is_refused_in_a_sentence(content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_midi(content, "some/file.mid", steps_per_beat=2)
    assert str(caught.value).startswith("some/file.mid: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


WHOLE = write_midi(np.random.default_rng(1).random((6, 88)) < 0.1, steps_per_beat=4)


def test_a_damaged_file_is_a_sentence_or_a_piece() -> None:
    rng = np.random.default_rng(2)
    messages = []
    for _ in range(400):
        content = np.frombuffer(WHOLE, np.uint8).copy()
        places = rng.integers(len(content), size=rng.integers(1, 5))
        content[places] = rng.integers(256, size=len(places))
        try:
            assert read_midi(content.tobytes(), "x", steps_per_beat=4).any()
        except DataError as error:
            messages.append(str(error))
    assert 40 < len(messages) < 400
    assert not any("\n" in message for message in messages)


def test_no_file_that_was_cut_is_a_piece() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(DataError):
            read_midi(WHOLE[:length], "x", steps_per_beat=4)


def test_without_mido_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(ConfigError, match=r"pip install 'arbench\[music\]'"):
        read_midi(WHOLE, "x", steps_per_beat=1)


def test_a_note_sounds_at_its_own_frequency_and_silence_is_silent() -> None:
    sound = tones(_piece(4, HeldNote(1, 3, 48)), step_s=0.5)  # A4
    assert len(sound) == 2 * TONE_RATE + round(0.06 * TONE_RATE)
    assert not sound[: TONE_RATE // 2].any()
    assert np.abs(sound[TONE_RATE // 2 :]).max() < 1
    assert not sound[round(1.57 * TONE_RATE) :].any()  # 60 ms after it was let go
    spectrum = np.abs(np.fft.rfft(sound[TONE_RATE // 2 : 3 * TONE_RATE // 2]))
    assert np.argmax(spectrum) == 440  # a second long, so the bins are Hz
    np.testing.assert_array_equal(sound, tones(_piece(4, HeldNote(1, 3, 48)), step_s=0.5))


def test_a_note_that_is_let_go_dies_away() -> None:
    sound = tones(_piece(2, HeldNote(0, 1, 48)), step_s=0.5)
    release = np.abs(sound[TONE_RATE // 2 :][: round(0.06 * TONE_RATE)])
    assert release[:300].max() > 5 * release[-100:].max() > 0


def test_notes_that_sound_together_are_heard_together() -> None:
    """A4 and the C sharp above it, over the whole second that they last."""
    sound = tones(_piece(2, HeldNote(0, 2, 48), HeldNote(0, 2, 52)), step_s=0.5)[:TONE_RATE]
    spectrum = np.abs(np.fft.rfft(sound))
    assert sorted(np.argsort(spectrum)[-2:].tolist()) == [440, 554]


def test_the_highest_key_has_no_partial_above_half_the_sample_rate() -> None:
    sound = tones(_piece(2, HeldNote(0, 2, 87)), step_s=0.5)[:TONE_RATE]
    spectrum = np.abs(np.fft.rfft(sound))
    aliases = [round(k * 4186.01) for k in (3, 4)]  # where they would be folded to
    assert all(
        spectrum[TONE_RATE - f - 3 : TONE_RATE - f + 3].max() < 0.02 * spectrum.max()
        for f in aliases
    )
