"""The notes of a sampled piece: read from MIDI, kept beside a result, played on the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from arbench.boards.results import Result
from arbench.data.formats.midi import missing_library, read_midi
from arbench.data.formats.piano_keys import LOWEST_NOTE, Steps, held_notes
from arbench.data.rendering import MusicRendering
from arbench.files.atomic import make_folder, write_text
from arbench.runs.loading import read_config

_MOST_STEPS = 128
_MIDI = "samples.mid"


def notes_at_hand(result: Result) -> dict[str, Any] | None:
    """The first sampled piece of a result, from its run or from what was kept; None without one.

    Returns:
        `step_s`, seconds; `steps`, how many; `notes`, each `[MIDI note, first step, steps]`.
    """
    if result.folder is not None:
        return _read(result.folder) if missing_library() is None else None
    kept = _beside(result.log_probs)
    if not kept.exists():
        return None
    found: dict[str, Any] = json.loads(kept.read_bytes())
    return found


def keep_notes(run: Path, kept: Path) -> Path | None:
    """Keep the first sampled piece of a run beside its kept record.

    Args:
        run: a run folder.
        kept: the kept record; see `keep_result`.

    Returns:
        The file; None where the run has sampled no music.
    """
    piece = _read(run)
    if piece is None:
        return None
    file = _beside(kept)
    make_folder(file.parent)
    write_text(file, json.dumps(piece, separators=(",", ":")) + "\n")
    return file


def _beside(kept: Path) -> Path:
    return kept.parent / "samples" / f"{kept.stem}.json"


def _read(run: Path) -> dict[str, Any] | None:
    file = run / _MIDI
    if not file.is_file():
        return None
    shown = read_config(run).shown
    return (
        notes_in(file.read_bytes(), shown, str(file)) if isinstance(shown, MusicRendering) else None
    )


def notes_in(midi: bytes, shown: MusicRendering, place: str) -> dict[str, Any]:
    """The notes of the first of the pieces in a MIDI file, as `notes_at_hand` returns them.

    Args:
        midi: pieces with a bar of silence after each.
        shown: how many steps a beat has, and how long it is.
        place: what an error calls the file.

    Raises:
        DataError: if the file is damaged.
    """
    steps = read_midi(midi, place, steps_per_beat=shown.steps_per_beat)
    piece = _first_piece(steps, 4 * shown.steps_per_beat)
    notes = [[LOWEST_NOTE + n.key, n.start, n.end - n.start] for n in held_notes(piece)]
    step_s = 60 / shown.beats_per_minute / shown.steps_per_beat
    return {"step_s": step_s, "steps": len(piece), "notes": notes}


def _first_piece(steps: Steps, silence: int) -> Steps:
    """The steps up to the first silence of a bar, which is between two pieces."""
    sounding = np.flatnonzero(steps.any(1))
    if not len(sounding):
        return steps[:1]
    gaps = np.flatnonzero(np.diff(sounding) > silence)
    last = sounding[gaps[0]] if len(gaps) else sounding[-1]
    return steps[sounding[0] : last + 1][:_MOST_STEPS]
