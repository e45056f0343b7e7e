"""Removes control characters from text before it is shown."""

from __future__ import annotations

import unicodedata

_DIRECTION_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def is_control(character: str) -> bool:
    """Whether a character is a command to a terminal or a page, and not part of a text.

    Control characters, which could do anything to a terminal; marks that turn the direction of
    what follows them, so that a text reads otherwise than it is; separators of lines and
    paragraphs; halves of characters.
    """
    return (
        unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") or character in _DIRECTION_MARKS
    )


def printable(text: str) -> str:
    """The text without control characters; see `is_control`."""
    return "".join(
        "\ufffd" if is_control(character) and character not in "\n\t" else character
        for character in text
    )


def one_line(text: str) -> str:
    """The text in a line, without control characters."""
    return printable(" ".join(text.split()))
