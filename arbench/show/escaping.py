"""Makes untrusted text harmless: removes control characters, escapes for Markdown and HTML.

Records, samples and papers' rows may hold anything. Whatever of them goes into Markdown, HTML or a
terminal goes through here.
"""

from __future__ import annotations

import re
from html import escape

from arbench.files.plain_text import CONTROL

_REMOVED = re.compile(rf"(?![\n\t]){CONTROL}")
# What means something in Markdown wherever it stands; a backslash takes that away from each.
_MARKS = re.compile(r"[\\`*_\[\]<>|]|&(?=#?\w+;)")
_ESCAPED = r"\\\g<0>"
_ADDRESS = re.compile(r"https?://[A-Za-z0-9./?#=%:@+~_-]+")


def printable(text: str) -> str:
    """The text without control characters; see `is_control`."""
    return _REMOVED.sub("\ufffd", text)


def one_line(text: str) -> str:
    """The text in a line, without control characters."""
    return printable(" ".join(text.split()))


def markdown(text: str, *, begins: bool = False) -> str:
    """Text in a line of Markdown, in a cell of a table too. Addresses stay what they are.

    Args:
        text: of any kind.
        begins: whether it begins a block, such as an entry of a list, where more marks count.
    """
    text = one_line(text)
    parts, start = [], 0
    for address in _ADDRESS.finditer(text):
        parts += [_MARKS.sub(_ESCAPED, text[start : address.start()]), address[0]]
        start = address.end()
    escaped = "".join([*parts, _MARKS.sub(_ESCAPED, text[start:])])
    if begins:
        escaped = re.sub(r"\A[#+=-]", _ESCAPED, escaped)
        escaped = re.sub(r"\A(\d+)([.)])", r"\1\\\2", escaped)
    return escaped


def preformatted(text: str) -> str:
    """Lines of text as an element that both HTML and Markdown show as they are."""
    return f"<pre>{html(text)}</pre>"


def html(text: str) -> str:
    """Text in HTML, in the value of an attribute too."""
    return escape(printable(text))
