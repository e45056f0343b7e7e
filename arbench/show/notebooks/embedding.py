"""Files and tables as HTML that needs nothing else: pictures and sounds lie inside it."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from arbench.show.escaping import html
from arbench.show.record_tables import record_tables
from arbench.show.tables import Table, as_html

_MOST_ROWS = 20
_MOST_CHARACTERS = 4000


def record_html(record: Mapping[str, Any]) -> str:
    """The tables of a record, which comes as its JSON has it."""
    title = f"{record['model']['name']} on {record['task']['name']}"
    return f"<h4>{html(title)}</h4>" + "".join(map(as_html, record_tables(record)))


def run_html(path: Path, record: Mapping[str, Any]) -> str:
    """The tables of a run, its samples and its pictures.

    Args:
        path: its folder.
        record: what was measured, as JSON has it.
    """
    files = [*sorted(path.glob("samples.*")), *sorted(path.glob("measurements/*/*.png"))]
    where = f"<p>files: <code>{html(str(path))}</code></p>"
    return record_html(record) + files_html(files) + where


def files_html(files: Iterable[Path]) -> str:
    """Pictures, sounds, rows and texts, one below the other; a file of another kind is left out."""
    return "".join(map(_embedded, files))


def _embedded(file: Path) -> str:
    match file.suffix.lower():
        case ".png":
            return f'<p><img alt="{html(file.name)}" src="{_data(file, "image/png")}"></p>'
        case ".wav":
            return f'<p><audio controls src="{_data(file, "audio/wav")}"></audio></p>'
        case ".csv":
            with file.open(encoding="utf-8", newline="") as lines:
                rows = [*csv.reader(lines)]
            notes = [f"{len(rows) - _MOST_ROWS:,} more lines"] if len(rows) > _MOST_ROWS else []
            return as_html(Table("", rows=rows[:_MOST_ROWS], notes=notes))
        case ".txt":
            text = file.read_text("utf-8")
            more = "\n..." if len(text) > _MOST_CHARACTERS else ""
            return f"<pre>{html(text[:_MOST_CHARACTERS])}{more}</pre>"
    return ""


def _data(file: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
