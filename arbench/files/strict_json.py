"""Parses JSON strictly: no duplicate keys, no NaN, no control characters.

A key that is there twice, a number that is not finite, nesting without end, and text that a
terminal or a page would show as something else are no part of any document of arbench.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from arbench.errors import ArbenchError
from arbench.files.plain_text import is_control

_MOST_LEVELS = 32
# The symbols of a text task are data: a line feed is one of them.
_SYMBOLS = ("rendering", "symbols")


def parse_json(text: str | bytes) -> Any:
    """The value that a JSON text stands for.

    Raises:
        ValueError: in one line, if it is no JSON, or none that arbench would write.
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"it is nested more than {_MOST_LEVELS} levels deep") from None
    return require_plain(value)


def read_json(path: Path, error_class: type[ArbenchError], missing: str) -> Any:
    """The value in a JSON file.

    Args:
        path: the file.
        error_class: what to raise.
        missing: what it means when there is no such file.

    Raises:
        ArbenchError: of that class, if the file is missing or not readable; see `parse_json`.
    """
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise error_class(f"{path}: {missing}") from error
    except (ValueError, OSError) as error:
        raise error_class(f"{path}: not readable as JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"JSON has no number {name}")


def require_plain(value: Any) -> Any:
    """The value itself, if every text and number in it is what documents may contain.

    Raises:
        ValueError: at the first that is not admitted.
    """
    waiting: list[tuple[Any, tuple[str, ...], int]] = [(value, (), 0)]
    while waiting:
        item, path, level = waiting.pop()
        if level > _MOST_LEVELS:
            raise ValueError(f"it is nested more than {_MOST_LEVELS} levels deep")
        if isinstance(item, dict):
            for key, inner in item.items():
                waiting += [(inner, (*path, key), level + 1), (key, path, level)]
        elif isinstance(item, (list, tuple)):
            if path != _SYMBOLS:
                waiting += [(inner, path, level + 1) for inner in item]
        elif isinstance(item, str):
            if item.isprintable():  # of which no control is, and which is asked at once
                continue
            if control := next((each for each in item if is_control(each)), None):
                where = f"{'.'.join(path)} = " if path else ""
                raise ValueError(f"{where}{item[:40]!r} holds the control character {control!r}")
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"the number at {'.'.join(path)} is too large")
    return value
