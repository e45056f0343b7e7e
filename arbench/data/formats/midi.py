"""Reads MIDI files note by note, and writes them."""

from __future__ import annotations

import importlib.util
import io
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from arbench.data.formats.piano_keys import LOWEST_NOTE, NUM_KEYS, Steps, held_notes
from arbench.errors import ConfigError, DataError

MOST_STEPS = 1 << 20  # of a piece that is read
_TICKS = 120  # per step that is written
_MOST_PER_BEAT = 64
_VELOCITY = 80
_DRUMS = 9  # the channel whose notes are instruments and no pitches; musicians count it as 10
_ALL_OFF = (120, 123)  # controllers that end all notes of a channel
_MAGIC, _TRACK = b"MThd", b"MTrk"


def write_midi(piece: Steps, *, steps_per_beat: int, beats_per_minute: float = 120.0) -> bytes:
    """A MIDI file (format 0, a piano) that plays a piece; all its steps, silent ones included.

    A key that sounds in several steps is held, since nothing says where it is struck again.

    Args:
        piece: `(steps, 88)` boolean.
        steps_per_beat: how many steps a quarter note has.
        beats_per_minute: the tempo, in quarter notes.

    Raises:
        ConfigError: if mido is not installed.
        ValueError: for something that is no piece, or a number that MIDI cannot say.
    """
    if not 1 <= steps_per_beat <= _MOST_PER_BEAT:
        raise ValueError(
            f"a beat has 1 to {_MOST_PER_BEAT} steps in a MIDI file, got {steps_per_beat}"
        )
    if not 4 <= beats_per_minute <= 1000:
        raise ValueError(f"a tempo is 4 to 1,000 beats per minute, got {beats_per_minute:g}")
    mido = _mido()
    changes: list[tuple[int, bool, int]] = []  # what ends comes before what begins
    for note in held_notes(piece):
        changes += [(note.start, True, note.key), (note.end, False, note.key)]
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=round(60e6 / beats_per_minute)))
    track.append(mido.Message("program_change", program=0))
    now = 0
    for step, begins, key in sorted(changes):
        kind = "note_on" if begins else "note_off"
        velocity = _VELOCITY if begins else 0
        wait = (step - now) * _TICKS
        track.append(mido.Message(kind, note=LOWEST_NOTE + key, velocity=velocity, time=wait))
        now = step
    track.append(mido.MetaMessage("end_of_track", time=(len(piece) - now) * _TICKS))
    file = mido.MidiFile(type=0, ticks_per_beat=_TICKS * steps_per_beat, tracks=[track])
    content = io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def read_midi(content: bytes, place: str, *, steps_per_beat: int) -> Steps:
    """The piece in the bytes of a MIDI file, `(steps, 88)` boolean, up to the end of its last note.

    Every note is read for itself. It begins in the step nearest to its beginning, ends with the one
    before the step nearest to its end, and sounds in one step at least, however short it is.
    All tracks and channels count but the one of the drums. Tempo, velocities and pedals do not.

    Args:
        content: of the file.
        place: what an error message calls it.
        steps_per_beat: how many steps a quarter note has.

    Raises:
        ConfigError: if mido is not installed.
        DataError: if it is no whole MIDI file, has no notes, has one that no piano has or that
            never ends, or counts its time in seconds; one sentence.
    """
    file = _parse(content, place)
    notes: list[tuple[int, int, int]] = []
    for track in file.tracks:
        notes += _track_notes(track, place)
    if not notes:
        raise DataError(f"{place}: found no notes, expected a piece of music")
    times, keys = np.array(notes, dtype=np.int64)[:, :2], [note for _, _, note in notes]
    for bad in (note for note in keys if not 0 <= note - LOWEST_NOTE < NUM_KEYS):
        raise DataError(
            f"{place}: found MIDI note {bad}, expected {LOWEST_NOTE} to "
            f"{LOWEST_NOTE + NUM_KEYS - 1}, the keys of a piano; transpose it yourself"
        )
    # To the nearest step, in whole numbers: half a step on goes up, at every beat alike.
    ticks = file.ticks_per_beat
    starts, ends = ((2 * times * steps_per_beat + ticks) // (2 * ticks)).T
    ends = np.maximum(ends, starts + 1)
    if ends.max() > MOST_STEPS:
        raise DataError(
            f"{place}: found {ends.max():,} steps, expected at most {MOST_STEPS:,}; the time of "
            "its last note may be damaged"
        )
    piece = np.zeros((int(ends.max()), NUM_KEYS), dtype=np.bool_)
    for start, end, note in zip(starts, ends, keys, strict=True):
        piece[start:end, note - LOWEST_NOTE] = True
    return piece


def _parse(content: bytes, place: str) -> Any:
    """The tracks of a MIDI file whose time is counted in beats.

    Raises:
        DataError: if there is anything else in the file.
    """
    mido = _mido()
    if not content.startswith(_MAGIC):
        raise DataError(f"{place}: expected a MIDI file, found something else")
    stream = io.BytesIO(content)
    try:
        file = mido.MidiFile(file=stream)
    except EOFError as error:
        raise DataError(
            f"{place}: the MIDI file ends within a track; it was cut short or is damaged"
        ) from error
    except (OSError, ValueError, LookupError, TypeError, mido.KeySignatureError) as error:
        raise DataError(f"{place}: a damaged MIDI file, mido says: {error}") from error
    if file.type not in (0, 1):
        raise DataError(
            f"{place}: found MIDI format {file.type}, expected 0 or 1, whose tracks play together"
        )
    if file.ticks_per_beat <= 0:  # mido reads frames per second as a negative number
        raise DataError(
            f"{place}: found time that is not counted in beats, expected ticks per quarter note"
        )
    if content.startswith(_TRACK, stream.tell()):
        raise DataError(
            f"{place}: found more tracks than the {len(file.tracks)} that its header speaks of; it "
            "is damaged"
        )
    return file


def _track_notes(track: Any, place: str) -> Iterator[tuple[int, int, int]]:
    """First tick, last tick and MIDI note of all notes of a track, drums left out.

    A key may be struck again before it was let go: then the first end is that of the first note.
    """
    now = 0
    sounding: defaultdict[tuple[int, int], deque[int]] = defaultdict(deque)
    for message in track:
        now += message.time
        if getattr(message, "channel", _DRUMS) == _DRUMS:  # many messages have none
            continue
        if message.type == "note_on" and message.velocity > 0:
            sounding[message.channel, message.note].append(now)
        elif message.type in ("note_on", "note_off"):
            # An end without a beginning is harmless: some programs write one for every key.
            if starts := sounding[message.channel, message.note]:
                yield starts.popleft(), now, message.note
        elif message.type == "control_change" and message.control in _ALL_OFF:
            for (channel, note), starts in sounding.items():
                if channel == message.channel:
                    yield from ((start, now, note) for start in starts)
                    starts.clear()
    for (_, note), starts in sounding.items():
        if starts:
            raise DataError(
                f"{place}: MIDI note {note} begins at tick {starts[0]:,} and never ends; the file "
                "was cut short or is damaged"
            )


def missing_library() -> str | None:
    """What to install before MIDI can be read and written; None if that can be done."""
    if importlib.util.find_spec("mido") is not None:
        return None
    return (
        "MIDI files are read and written by mido, which is not installed: "
        "pip install 'arbench[music]'"
    )


def _mido() -> Any:
    """The library, which only music needs; it states no types.

    Raises:
        ConfigError: if it is not installed.
    """
    if missing := missing_library():
        raise ConfigError(missing)
    import mido

    return mido
