"""Polyphonic music: which keys of a piano sound, step by step."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="jsb-chorales",
        task="arbench_music.rolls:JSBChorales",
        summary="chorales of Bach in four voices, 229 / 76 / 77 pieces of up to 160 steps",
    ),
    TaskEntry(
        name="jsb-chorales-transposed",
        task="arbench_music.rolls:TransposedJSBChorales",
        summary="the same, whose training pieces are transposed at random in every epoch",
    ),
    TaskEntry(
        name="nottingham",
        task="arbench_music.rolls:Nottingham",
        summary="folk tunes with chords, 694 / 173 / 170 pieces of up to 1,793 steps",
    ),
    TaskEntry(
        name="piano-midi",
        task="arbench_music.rolls:PianoMidi",
        summary="classical piano, 87 / 12 / 25 pieces of up to 3,857 steps",
    ),
    TaskEntry(
        name="musedata",
        task="arbench_music.rolls:MuseData",
        summary="orchestral and piano music, 524 / 135 / 124 pieces of up to 4,273 steps",
    ),
]
