"""Plain text in aligned columns; a table library would cost more time than the listing itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """The rows as lines of left-aligned columns, the header above them in capitals.

    On a terminal a line that is too wide is cut, and ends in "...".
    """
    lines = [[cell.upper() for cell in header], *rows] if header else [*rows]
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    texts = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    if not sys.stdout.isatty():
        return "\n".join(texts)
    import shutil  # only a terminal needs it

    limit = shutil.get_terminal_size().columns
    return "\n".join(
        text if len(text) <= limit else f"{text[: max(limit - 3, 0)]}..." for text in texts
    )


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Names and what belongs to them; on a terminal a text that is too wide goes on below itself.

    Without a value a name is left out.
    """
    rows = [(name, value) for name, value in rows if value]
    indent = max((len(name) for name, _ in rows), default=0) + 2
    if not sys.stdout.isatty():
        return "\n".join(f"{name.ljust(indent)}{value}" for name, value in rows)
    import shutil  # only a terminal needs them
    import textwrap

    width = max(shutil.get_terminal_size().columns - indent, 30)
    lines = []
    for name, value in rows:
        first, *others = textwrap.wrap(value, width, break_long_words=False, break_on_hyphens=False)
        lines.append(name.ljust(indent) + first)
        lines += [" " * indent + line for line in others]
    return "\n".join(lines)
