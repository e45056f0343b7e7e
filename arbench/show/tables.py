"""Draws a table for a terminal, as plain text, Markdown or HTML.

Imports nothing that is slow to import: `arbench list` and `arbench show` draw with it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from arbench.show.escaping import html, markdown, one_line, printable
from arbench.show.wording import capitalised

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text as RichText


_ALL = "`| less -S` shows all"
# A word that is longer, such as a run's name, may go on in the next line behind one of these.
_LONGEST_WORD = 24
_LONG = 40  # a column of texts that is wider never has to go for that
_PIECE = re.compile(r".{8,}?[-./_](?=.)|.+")
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
    indent = "  " if table.title else ""
    if headers:
        body = columns(rows, headers, room=len(indent))
    else:
        body = pairs([(name, value) for name, value in rows], room=len(indent))
    notes = [filled(one_line(note), room=len(indent)) for note in table.notes]
    lines = [line for block in (body, *notes) for line in block.splitlines()]
    if table.title:
        lines = [one_line(table.title), *(f"{indent}{line}" for line in lines)]
    return "\n".join(lines)


def as_rich(table: Table, console: Console | None = None) -> RichTable | RichText:
    """A table with lines around its cells, for a console of rich; notes alone are plain text.

    Args:
        table: what to draw.
        console: where; if that is a terminal, the table fits its width.
    """
    from rich.markup import escape
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    notes = one_line(" ".join(table.notes))
    if not table.rows:
        return RichText(notes)
    lines = [[*map(one_line, line)] for line in (table.headers, *table.rows) if line]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    kept = [*range(len(widths))]
    if console is not None and console.is_terminal:
        lines, kept, widths, note = fit(lines, console.width, between=3, around=4)
        notes = " ".join(filter(None, (notes, note)))
    drawn = RichTable(
        width=sum(widths) + 3 * len(widths) + 1,
        title=escape(one_line(table.title)) or None,
        title_justify="left",
        caption=escape(notes) or None,
        caption_justify="left",
        show_header=bool(table.headers),
    )
    for place, column in enumerate(kept):
        drawn.add_column(
            escape(lines[0][place]) if table.headers else "",
            justify="right" if table.headers and table.holds_numbers(column) else "left",
            width=widths[place],
            overflow="fold",
        )
    for line in lines[bool(table.headers) :]:
        drawn.add_row(*map(escape, line))
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


# Lines of cells, of which those that were wrapped have line breaks; which columns they are; how
# wide those are; which columns had no room, in words: "" if all had.
Fitted = tuple[list[list[str]], list[int], list[int], str]


def fit(
    lines: Sequence[Sequence[str]],
    width: int,
    *,
    between: int = 2,
    around: int = 0,
    least: Sequence[int] | None = None,
) -> Fitted:
    """Cells that fit a width: words are wrapped, then whole columns go; nothing is cut.

    A number is never wrapped, but what stands in brackets behind it may be. The first column always
    stays.

    Args:
        lines: the header, if there is one, and the rows; at least one line.
        width: of the terminal in characters.
        between: how much stands between two columns.
        around: how much stands around them all.
        least: which columns go first; by default the last one, then the one before.
    """
    kept = [*range(len(lines[0]))]
    order = [*reversed(kept[1:])] if least is None else [*least]
    while True:
        inside = [[line[column] for line in lines] for column in kept]
        widths = _widths(inside, width - around - between * (len(kept) - 1))
        if widths is not None or len(kept) == 1:
            break
        kept.remove(next((column for column in order if column in kept), kept[-1]))
    widths = widths or [max(map(len, inside[0]))]
    gone = [lines[0][column] for column in range(len(lines[0])) if column not in kept]
    wrapped = [
        ["\n".join(_wrapped(line[column], own)) for column, own in zip(kept, widths, strict=True)]
        for line in lines
    ]
    note = f"left out, too wide for this terminal: {', '.join(gone)}; {_ALL}" if gone else ""
    return wrapped, kept, widths, note


def _widths(inside: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column is drawn; None if there is no room for all."""
    widths = [max(map(len, cells)) for cells in inside]
    floors = [min(width, _least_width(cells)) for width, cells in zip(widths, inside, strict=True)]
    if sum(floors) > room:
        return None
    while sum(widths) > room:
        slack = [width - floor for width, floor in zip(widths, floors, strict=True)]
        widths[slack.index(max(slack))] -= 1
    return widths


def _least_width(cells: Sequence[str]) -> int:
    """The longest word of a column; no cell but a long one goes on over more than three lines."""
    head, *body = cells
    if all(_NUMBER.fullmatch(cell) for cell in body):
        parts = [part for cell in body for part in cell.replace(" (", "\n(").split("\n")]
        return max(1, *map(len, parts + head.split()))
    longest = max((len(cell) for cell in body), default=0)
    words = max((len(piece) for cell in cells for piece in _pieces(cell)), default=0)
    return max(words, min(longest, 16), min(longest // 3 + 4, _LONG))


def _pieces(cell: str) -> list[str]:
    """The words of a cell, those that are too long in pieces."""
    return [
        piece
        for word in cell.split()
        for piece in (_PIECE.findall(word) if len(word) > _LONGEST_WORD else [word])
    ]


def _wrapped(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    lines = [""]
    for word in cell.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for piece in _pieces(word) if len(word) > width else [word]:
            if lines[-1] and len(lines[-1]) + len(piece) > width:
                lines.append("")
            lines[-1] += piece
        # Such as a checksum, which has no place to part.
        while len(lines[-1]) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return lines[1:]


def terminal_width() -> int | None:
    """How many characters standard output has in a line; None where it is no terminal."""
    if not sys.stdout.isatty():
        return None
    import shutil  # only a terminal needs it

    return shutil.get_terminal_size().columns


def columns(
    rows: Sequence[Sequence[str]],
    header: Sequence[str] = (),
    *,
    room: int = 0,
    least: Sequence[int] | None = None,
) -> str:
    """The rows as lines of left-aligned columns, the header above them in capitals.

    On a terminal they fit it; see `fit`.

    Args:
        rows: a cell for each column.
        header: names of the columns.
        room: what the terminal keeps for others at the beginning of each line.
        least: which columns go first where there is no room.
    """
    lines: list[Sequence[str]] = [[cell.upper() for cell in header], *rows] if header else [*rows]
    if not lines:
        return ""
    widths, note = [max(map(len, cells)) for cells in zip(*lines, strict=True)], ""
    if (width := terminal_width()) is not None:
        fitted, _, widths, note = fit(lines, width - room, least=least)
        lines = [*fitted]
    texts = []
    for line in lines:
        for parts in zip_longest(*(cell.split("\n") for cell in line), fillvalue=""):
            cells = zip(parts, widths, strict=True)
            texts.append("  ".join(part.ljust(own) for part, own in cells).rstrip())
    return "\n".join(texts + [filled(f"({note})", room=room)] * bool(note))


def filled(text: str, *, room: int = 0) -> str:
    """A text; on a terminal each of its lines goes on in the next one between two words.

    Args:
        text: any lines.
        room: what the terminal keeps for others at the beginning of each line.
    """
    width = terminal_width()
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _wrapped(line, width - room))


def pairs(rows: Sequence[tuple[str, str]], *, room: int = 0) -> str:
    """Names and what belongs to them; on a terminal what is too wide goes on below itself.

    Without a value a name is left out.
    """
    rows = [(name, value) for name, value in rows if value]
    indent = max((len(name) for name, _ in rows), default=0) + 2
    limit = terminal_width()
    if limit is None:
        return "\n".join(f"{name.ljust(indent)}{value}" for name, value in rows)
    # Names as long as a path leave a third of the terminal to what belongs to them.
    indent = min(indent, (limit - room) * 2 // 3)
    lines = []
    for name, value in rows:
        both = _wrapped(name, indent - 2), _wrapped(value, limit - room - indent)
        lines += [a.ljust(indent) + b for a, b in zip_longest(*both, fillvalue="")]
    return "\n".join(lines)
