"""`arbench show RUN`: a run's record as text, without importing pydantic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arbench.runs.record.binding import unbound_note
from arbench.runs.record.versions import upgraded
from arbench.show.escaping import printable
from arbench.show.pictures import pictures_of
from arbench.show.record_tables import made_with, measured_tables
from arbench.show.tables import Table, as_text

FILES = {
    "model.safetensors": "weights",
    "record.json": "what was measured",
    "config.json": "how to build it again",
    "per_event.safetensors": "values of every event",
    "log_probs.safetensors": "one value per test event",
    "metrics.jsonl": "validation over training",
    "README.md": "model card",
    "checkpoint": "where training stands",
}


def record_text(path: Path, record: dict[str, Any]) -> str:
    """What the run in a folder was made with, what was measured, and its files.

    Raises:
        LookupError, TypeError, ValueError or AttributeError: if that is no record.
    """
    record = upgraded(record)
    about = [("run", str(path)), *made_with(record).rows]
    if (record.get("training") or {}).get("status") == "interrupted":
        about.append(("continue with", f"`arbench resume {path}`"))
    if note := unbound_note(path, record["sha256"].get("record") is not None):
        about.append(("binding", note))
    tables = [Table("", rows=about), *measured_tables(record), _files(path, record)]
    return printable("\n\n".join(map(as_text, tables)))


def _files(path: Path, record: dict[str, Any]) -> Table:
    rows = [(str(path / name), what) for name, what in FILES.items() if (path / name).exists()]
    rows += [(str(file), "samples") for file in sorted(path.glob("samples.*"))]
    pictures = pictures_of(path, record["measurements"])
    rows += [(str(file), f"picture of {key}") for key, files in pictures.items() for file in files]
    return Table("files", rows=rows)
