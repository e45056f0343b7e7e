"""Samples and training curves on the HTML page."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from arbench.boards.curves import board_curve
from arbench.boards.rows import Board, Row
from arbench.show.escaping import html

_MOST_BYTES = 600_000  # of one picture or sound
_MOST_CHARACTERS = 1200


def gallery(boards: Iterable[Board]) -> str:
    """The samples of every result whose run is at hand, as HTML; empty if there are none."""
    figures = [
        f'<figure class="sample"><div class="frame">{shown}</div>'
        f"<figcaption>{html(row.model)}</figcaption></figure>"
        for board in boards
        for row in board.rows
        if row.result is not None and row.result.folder is not None
        if (shown := _samples(row.result.folder, f"samples of {row.model} on {board.task}"))
    ]
    if not figures:
        return ""
    return f'<div class="gallery"><h3>Samples</h3><div class="grid">{"".join(figures)}</div></div>'


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
