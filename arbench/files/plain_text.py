"""Which characters are commands and no text (`is_control`)."""

from __future__ import annotations

import re

# Categories Cc, Zl, Zp and Cs of Unicode, and marks of direction.
CONTROL = (
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def is_control(character: str) -> bool:
    """Whether a character is a command to a terminal or a page, and not part of a text.

    Control characters, which could do anything to a terminal; marks that turn the direction of
    what follows them, so that a text reads otherwise than it is; separators of lines and
    paragraphs; halves of characters.
    """
    return re.match(CONTROL, character) is not None
