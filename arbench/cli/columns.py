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
