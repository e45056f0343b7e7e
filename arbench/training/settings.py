"""What a text, or a value of another type, means to a setting.

A setting is a Python value, whoever gives it, and its type is checked strictly: text is no number,
and a number is no truth value. Only a command line has texts; `read_text` makes values of them.
"""

from __future__ import annotations

import sys
import tomllib
import warnings
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from arbench.errors import ConfigError


def read_text(text: str, field: FieldInfo | None) -> Any:
    """The value that a text on the command line means.

    The text is read as TOML, such as `3`, `0.1`, `true` and `[8, 4]`; `8,4` is a list too, and a
    bare word is text. Where the setting does not take that, it is read as what the setting takes:
    `8` as the list `[8]`, `1e3` as an integer, `True` and `yes` as true, `none` as None, and `500`
    as the text "500".

    Args:
        text: what follows `KEY=`.
        field: of the schema; None where the schema is not known.

    Raises:
        ConfigError: if it is nested too deeply to be read.
    """
    value = _toml(text)
    if field is None:
        return value
    others = (text, None) if text.lower() == "none" else (text,)
    readings = (*_readings(field, value), *others)
    return next((reading for reading in readings if _one(field, reading)), value)


def reread(key: str, value: Any, plain: Any, field: FieldInfo | None) -> Any:
    """What a setting takes, for a value that may not be of its type.

    One value for a list is a list of one. Texts for what is no text, and floats for integers, are
    read as arbench 0.1 read them, with a DeprecationWarning. What the setting does not take at all
    is returned as it is.

    Args:
        key: the setting's name, for the warning.
        value: what was given.
        plain: the value as JSON has it.
        field: of the schema; None where the schema does not have it.
    """
    if field is None or _one(field, plain):
        return plain
    if _one(field, [plain]):
        return [plain]
    items = plain if isinstance(plain, list) else [plain]
    if not any(isinstance(item, (str, float)) for item in items):
        return plain
    text = f"[{', '.join(map(str, plain))}]" if isinstance(plain, list) else str(plain)
    readings = [reading for reading in _readings(field, _toml(text)) if _one(field, reading)]
    if not readings:
        return plain
    reading = readings[0]
    warnings.warn(
        f"setting {key} = {value!r} is read as {reading!r}: write that, because arbench 0.3 will "
        "refuse the other",
        DeprecationWarning,
        stacklevel=_outside(),
    )
    return reading


def _readings(field: FieldInfo, value: Any) -> Iterator[Any]:
    """What a value of another type may mean to a setting, the likeliest first."""
    candidates = (value, [value])
    yield from candidates
    for candidate in candidates:
        if found := _one(field, candidate, strict=False):
            yield found.model_dump(mode="json")["value"]


def _one(field: FieldInfo, value: Any, *, strict: bool = True) -> BaseModel | None:
    """A schema of one setting alone, holding a value as JSON has it; None if it does not.

    Args:
        field: of the setting.
        value: to hold.
        strict: whether the setting takes it as it stands.
    """
    fields: dict[str, Any] = {"value": (field.annotation, field)}
    schema: type[BaseModel] = create_model("Setting", **fields)
    try:
        return schema.model_validate_json(to_json({"value": value}), strict=strict)
    except ValueError:
        return None


def _toml(text: str) -> Any:
    """A text as TOML reads what follows `=`, or as a list without its brackets, or as text."""
    for candidate in (text, f"[{text}]" if "," in text else text):
        try:
            return tomllib.loads(f"value = {candidate}")["value"]
        except tomllib.TOMLDecodeError:
            continue
        except RecursionError as error:
            raise ConfigError(f"--set: {text[:20]}... is nested too deeply") from error
    return text


def _outside() -> int:
    """The `stacklevel` at which a warning of the caller names the code that called arbench."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "arbench":
        level, frame = level + 1, frame.f_back
    return level
