"""Draws a table for a terminal, as plain text, Markdown or HTML.

Imports nothing that is slow to import: `arbench list` and `arbench show` draw with it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arbench.show.escaping import html, markdown, one_line, printable
from arbench.show.wording import capitalised

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text as RichText


# Such as "1,234", "-3.1e-05", "85.47 ± 0.22 (still growing)" and "12.3 ms".
_NUMBER = re.compile(r"-|[+~-]?\d[\d,.]*(e[+-]?\d+)?( ± .*| [a-zµ]{1,2})?")


@dataclass(frozen=True)
class Table:
    """Rows of plain text; each function that draws them escapes them for its format.

    Attributes:
        title: what it is about, in lower case; empty where its place says that.
        headers: one for each column; none of a list of names and what belongs to them.
        rows: a cell for each column; without headers, a name and its value.
        notes: what to know about the rows, a sentence each.
    """

    title: str
    headers: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()

    def holds_numbers(self, column: int) -> bool:
        """Whether every cell of a column is a number, or stands for a missing one."""
        return all(_NUMBER.fullmatch(row[column]) for row in self.rows)


def as_text(table: Table) -> str:
    """A table as aligned lines: the title, and the rest below it, indented."""
    rows = [[printable(cell).replace("\n", " ") for cell in row] for row in table.rows]
    headers = [*map(one_line, table.headers)]
    body = columns(rows, headers) if headers else pairs([(name, value) for name, value in rows])
    lines = [*body.splitlines(), *map(one_line, table.notes)]
    if table.title:
        lines = [one_line(table.title), *(f"  {line}" for line in lines)]
    return "\n".join(lines)


def as_rich(table: Table) -> RichTable | RichText:
    """A table with lines around its cells, for a console of rich; notes alone are plain text."""
    from rich.markup import escape
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    notes = one_line(" ".join(table.notes))
    if not table.rows:
        return RichText(notes)
    drawn = RichTable(
        title=escape(one_line(table.title)) or None,
        title_justify="left",
        caption=escape(notes) or None,
        caption_justify="left",
        show_header=bool(table.headers),
    )
    for column, _ in enumerate(table.rows[0]):
        drawn.add_column(
            escape(one_line(table.headers[column])) if table.headers else "",
            justify="right" if table.headers and table.holds_numbers(column) else "left",
        )
    for row in table.rows:
        drawn.add_row(*(escape(one_line(cell)) for cell in row))
    return drawn


def as_markdown(table: Table) -> str:
    """A table under a heading, as Markdown; names and values are a list."""
    from tabulate import tabulate  # slow to import

    blocks = [f"## {markdown(capitalised(table.title))}"] * bool(table.title)
    if table.headers and table.rows:
        cells = [[*map(markdown, row)] for row in (table.headers, *table.rows)]
        blocks.append(tabulate(cells[1:], cells[0], tablefmt="github", disable_numparse=True))
    elif table.rows:
        blocks.append("\n".join(f"* {markdown(a)}: {markdown(b)}" for a, b in table.rows))
    blocks += [markdown(note, begins=True) for note in table.notes]
    return "\n\n".join(blocks)


def as_html(table: Table) -> str:
    """A table under a heading of the fifth level, as HTML."""
    heads = "".join(f'<th scope="col">{html(header)}</th>' for header in table.headers)
    numbers = {i for i in range(len(table.headers)) if table.holds_numbers(i)}
    rows = []
    for row in table.rows:
        cells = [
            f'<th scope="row">{html(cell)}</th>'
            if i == 0
            else f"<td{' class=number' if i in numbers else ''}>{html(cell)}</td>"
            for i, cell in enumerate(row)
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = f"<thead><tr>{heads}</tr></thead>" if heads else ""
    body = f"<table>{head}<tbody>{''.join(rows)}</tbody></table>" if rows else ""
    title = f"<h5>{html(capitalised(table.title))}</h5>" if table.title else ""
    return title + body + "".join(f"<p>{html(note)}</p>" for note in table.notes)


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
