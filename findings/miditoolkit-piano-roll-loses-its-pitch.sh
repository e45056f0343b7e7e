#!/usr/bin/env bash
# miditoolkit 1.0.1: a piano roll and back transposes the piece, and one note of pitch 126 or 127 empties the roll.
#
# Expected: by the docstrings of notes2pianoroll and pianoroll2notes "if not given, the method will represent all notes (pitches 0 to 127)",
#   so a roll has 128 columns, and notes come back with their pitches.
# Seen: without pitch_range the roll begins at the lowest pitch that occurs, and the way back takes column 0 for pitch 0: 60 64 72 come
#   back as 0 4 12. Its upper end is counted from the wrong side, so there is one column too many, and where the highest pitch is 126 or
#   127 no column is left. No error, no warning. With pitch_range=(0, 127) both ways all is right.
# Matters: rolls of two pieces do not line up, so a model of keys learns intervals above the lowest note of each piece.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 mido==1.3.3 packaging==26.3 2>/dev/null
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps miditoolkit==1.0.1 2>/dev/null
cat > "$work/probe.py" <<'P'
from importlib.metadata import version

import numpy as np
from miditoolkit import Note
from miditoolkit.pianoroll.parser import notes2pianoroll, pianoroll2notes

print(f"miditoolkit {version('miditoolkit')}, numpy {np.__version__}")
found = {}
for pitches in ((60, 64, 72), (57, 64, 72), (60, 64, 125), (60, 64, 126), (60, 64, 127)):
    notes = [Note(velocity=100, pitch=pitch, start=4 * k, end=4 * k + 4) for k, pitch in enumerate(pitches)]
    roll = notes2pianoroll(notes)
    back = [int(note.pitch) for note in pianoroll2notes(roll)] if roll.size else []
    found[pitches] = (roll.shape[1], back)
    print(f"pitches {pitches}: a roll of {roll.shape[1]} columns, {(roll > 0).sum()} of 12 steps sound; back as {back}")
    whole = notes2pianoroll(notes, pitch_range=(0, 127))
    assert whole.shape == (12, 128) and [note.pitch for note in pianoroll2notes(whole, pitch_range=(0, 127))] == list(pitches)
assert found == {
    (60, 64, 72): (14, [0, 4, 12]),
    (57, 64, 72): (17, [0, 7, 15]),
    (60, 64, 125): (67, [0, 4, 65]),
    (60, 64, 126): (0, []),
    (60, 64, 127): (0, []),
}, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
