"""Units of a task (dim, char, byte, sample, key) and the kind of data they mean."""

from __future__ import annotations

from typing import Literal

Kind = Literal["text", "image", "sound", "music", "table"]
_KINDS: dict[str, Kind] = {
    "char": "text",
    "byte": "text",
    "pixel": "image",
    "sample": "sound",
    "key": "music",
}

NUM_KEYS = 88
"""Keys of a piano, of which music is made: "key" is one of them at one step in time."""


def kind_of(unit: str) -> Kind:
    """What the events of a task are whose dims are called `unit`; a word of its own is a table's.

    Imports nothing heavy: listings of records ask it too.
    """
    return _KINDS.get(unit, "table")


def nats_per(unit: str) -> str:
    """What nats are given per, in a word, for a task whose dims are called `unit`.

    A text's windows are no events that anybody knows, and names are compared by the character.
    Pieces of music are compared by the step in time, of `NUM_KEYS` keys.
    """
    kind = _KINDS.get(unit)
    if kind == "music":
        return "step"
    return unit if kind == "text" else "event"


def dims_in(word: str) -> int:
    """How many dims are in what `nats_per` names, "step" or a dim; an event is not asked for."""
    return NUM_KEYS if word == "step" else 1


def unit_of(word: str) -> str:
    """What a dim is called where nats are given per `word`; the inverse of `nats_per`."""
    return "key" if word == "step" else word
