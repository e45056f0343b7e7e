"""What can go wrong with an answer of the Hub: refusals, silence, and answers that are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TOKEN = "hf_this-token-must-never-be-printed"
BODIES = {
    "html": f"<!doctype html><title>Log in</title><p>{TOKEN}".encode(),
    "empty": b"",
    "null": b"null",
    "array": b"[17]",
    "string": b'"yes"',
    "number": b"17",
    "object": b"{}",
    "nested": b"[" * 100_000,
    "binary": b"\xff\xfe\x00",
}


def _nulls(value: Any) -> Any:
    return dict.fromkeys(value) if isinstance(value, dict) else [*map(_nulls, value)]


def _types(value: Any) -> Any:
    """The value with everything in it of another type."""
    if isinstance(value, dict):
        return {key: _types(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_types(entry) for entry in value] or {"a": 1}
    return 17 if isinstance(value, str) else [str(value)]


def _drop(value: Any) -> Any:
    return {} if isinstance(value, dict) else [{} for _ in value]


SPOILED = {"nulls": _nulls, "types": _types, "drop": _drop}


@dataclass
class Fault:
    """What goes wrong at requests whose method and path match; `times` of them, then no more.

    Kinds: a status such as "503", whose answer echoes the token; "503 null" with one of `BODIES`;
    "stall" answers nothing; "cut" ends in the middle of the body; "lost" does what was asked and
    then answers nothing; "flip" changes a byte of the body; "wait" is a 429 that asks for an hour's
    patience, "soon" one that asks for a second's; "instead html" answers 200 with one of `BODIES`
    and does nothing; "after html" does what was asked and answers so; "after nulls", "after types"
    and "after drop" spoil the values of the answer; "endless" is a listing of empty pages.
    """

    pattern: str
    kind: str
    times: int = 10**6
