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


def nats_per(unit: str) -> str:
    """What nats are given per, in a word, for a task whose dims are called `unit`.

    A text's windows are no events that anybody knows, and names are compared by the character.
    """
    return unit if _KINDS.get(unit) == "text" else "event"
