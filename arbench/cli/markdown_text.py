"""Markdown as a terminal shows it: `arbench show TASK` prints the README of the task.

A parser of Markdown is too slow to import for that.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

from arbench.show.tables import columns, terminal_width

_ITEM = re.compile(r"\s*(?:[*+-]|\d+\.)\s+")
_CELLS = re.compile(r"(?<!\\)\|")


def fitted(text: str) -> str:
    """Markdown; on a terminal its paragraphs and tables fit that, its code stays as it is."""
    width = terminal_width()
    if width is None:
        return text
    blocks = groupby(_kinds(text), key=lambda each: each[0])
    return "\n".join(_shown(kind, [line for _, line in lines], width) for kind, lines in blocks)


def _shown(kind: str, lines: list[str], width: int) -> str:
    if kind == "code":
        return "\n".join(lines)
    return _table(lines) if kind == "table" else _paragraphs(lines, width)


def _kinds(text: str) -> Iterator[tuple[str, str]]:
    """Each line, and what it belongs to."""
    fenced = False
    for line in text.splitlines():
        edge = line.lstrip().startswith("```")
        kind = "table" if line.startswith("|") else "text"
        yield "code" if fenced or edge else kind, line
        fenced ^= edge


def _table(lines: list[str]) -> str:
    header, *rows = ([cell.strip() for cell in _CELLS.split(line.strip()[1:-1])] for line in lines)
    return columns(rows[1:], header)


def _paragraphs(lines: list[str], width: int) -> str:
    """Lines filled anew; an empty line, a heading and an item of a list begin a new one."""
    blocks: list[list[str]] = []
    for line in lines:
        goes_on = blocks and blocks[-1][-1] and line and not blocks[-1][-1].startswith("#")
        if goes_on and not line.startswith("#") and not _ITEM.match(line):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return "\n".join(_filled(block, width) for block in blocks)


def _filled(block: list[str], width: int) -> str:
    item = _ITEM.match(block[0])
    return textwrap.fill(
        " ".join([block[0].rstrip(), *(line.strip() for line in block[1:])]),
        width,
        subsequent_indent=" " * item.end() if item else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
