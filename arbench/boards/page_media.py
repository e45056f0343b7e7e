"""Samples, pictures of measurements and training curves on the HTML page."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbench.boards.curves import board_curve
from arbench.boards.live.notes import notes_at_hand
from arbench.boards.measured_boards import MeasuredBoard
from arbench.boards.rows import Board, Row
from arbench.show.escaping import html
from arbench.show.pictures import pictures_of, shown_of

if TYPE_CHECKING:
    from arbench.runs.record.record import Record

_MOST_BYTES = 600_000  # of one picture or sound
_MOST_CHARACTERS = 1200
_KINDS = {".png": "image/png", ".svg": "image/svg+xml"}


def gallery(boards: Iterable[Board]) -> str:
    """The samples of every ranked result, best first, as HTML; it names those whose are not here.

    It is empty if there are none at all.
    """
    figures, without = [], []
    for board in boards:
        for row in board.rows:
            if row.result is None:
                continue
            folder, name = row.result.folder, f"{row.rank} {row.model}"
            about = f"samples of {row.model} on {board.task}"
            shown = "" if folder is None else _samples(folder, about)
            if (piece := notes_at_hand(row.result)) is not None:
                shown += _piece(piece, about)
            if shown:
                figures.append(_figure(shown, name))
            else:
                without.append(name)
    if figures and without:
        note = f"Without samples here: {', '.join(without)}. The command in a row makes its run."
        return _grid("Samples", figures, note)
    return _grid("Samples", figures)


def pictures(board: MeasuredBoard) -> str:
    """The pictures of a measurement, of results whose runs are at hand, as HTML; empty if none."""
    keys = dict.fromkeys(column.key for column in board.columns)
    figures = [
        _figure(f'<img alt="{html(about)}" src="{_data(file, _KINDS[file.suffix])}">', about)
        for row in board.rows
        if row.result is not None and row.result.folder is not None
        for key, files in pictures_of(row.result.folder, _sections(row.result.record)).items()
        if key in keys
        for file in filter(_fits, shown_of(files))
        for about in [f"{row.model}, {key}: {file.stem}"]
    ]
    return _grid("Pictures", figures)


def _sections(record: Record) -> dict[str, Any]:
    sections: dict[str, Any] = record.model_dump(mode="json")["measurements"]
    return sections


def _grid(title: str, figures: Sequence[str], note: str = "") -> str:
    if not figures:
        return ""
    below = f'<p class="quiet">{html(note)}</p>' if note else ""
    grid = f'<div class="grid">{"".join(figures)}</div>'
    return f'<div class="gallery"><h3>{title}</h3>{grid}{below}</div>'


def _figure(shown: str, about: str) -> str:
    frame = f'<div class="frame">{shown}</div>'
    return f'<figure class="sample">{frame}<figcaption>{html(about)}</figcaption></figure>'


def _samples(run: Path, description: str) -> str:
    """The samples of a run as an element; empty if it has none that a page can show."""
    picture, text, sound = (run / f"samples.{kind}" for kind in ("png", "txt", "wav"))
    shown = ""
    if _fits(picture):
        shown += f'<img alt="{html(description)}" src="{_data(picture, "image/png")}">'
    if text.is_file():
        start = text.read_text("utf-8", errors="replace")[:_MOST_CHARACTERS]
        shown += f'<pre tabindex="0" aria-label="{html(description)}">{html(start)}</pre>'
    if _fits(sound):
        shown += (
            f'<audio controls preload="none" aria-label="{html(description)}" '
            f'src="{_data(sound, "audio/wav")}"></audio>'
        )
    return shown


def _piece(piece: Mapping[str, Any], description: str) -> str:
    """A piece of music that the page draws and plays."""
    notes = html(json.dumps(piece, separators=(",", ":")))
    return (
        f'<div class="piece" data-piece="{notes}"><button type="button" '
        f'data-about="{html(description)}">Play</button></div>'
    )


def _fits(file: Path) -> bool:
    return file.is_file() and file.stat().st_size <= _MOST_BYTES


def _data(file: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"


def curve(row: Row) -> list[list[float]]:
    """The training curve of a row: seconds and validation score; empty if it is not at hand.

    It is empty too where its file is damaged; see `board_curve`.
    """
    result = row.result
    if result is None or result.folder is None:
        return []
    points, _ = board_curve(result.folder, result.record)
    if row.bits_per_dim is None:
        return [[point.seconds, point.validation_nats_per_event] for point in points]
    bits = [(point.seconds, point.validation_bits_per_dim) for point in points]
    return [[seconds, value] for seconds, value in bits if value is not None]
