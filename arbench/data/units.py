"""Units of a task (dim, char, byte, sample) and the kind of data they mean."""

from __future__ import annotations

from typing import Literal

Kind = Literal["text", "image", "sound", "table"]
_KINDS: dict[str, Kind] = {"char": "text", "byte": "text", "pixel": "image", "sample": "sound"}


def kind_of(unit: str) -> Kind:
    """What the events of a task are whose dims are called `unit`; a word of its own is a table's.

    Imports nothing heavy: listings of records ask it too.
    """
    return _KINDS.get(unit, "table")
