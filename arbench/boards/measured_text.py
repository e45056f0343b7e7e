"""The board of any other measurement as text, Markdown, CSV, JSON or HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tabulate import tabulate

from arbench.show.escaping import html, one_line
from arbench.show.tables import Table, as_html, as_markdown, filled, fit, terminal_width
from arbench.show.wording import measured_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from arbench.boards.measured_boards import Cell, Column, MeasuredBoard, MeasuredRow

ABOUT_MEASURED = (
    "Rank is 1 plus the number of results in the same column that are significantly better (the "
    "number of one minus that of the other on the same events, over independent groups of them, "
    "Holm, 5 %; fewer than 10 groups are not tested). ± is one standard error. Baselines are what "
    "the data alone give."
)
_COLUMNS = ("task", "measurement", "version", "unit", "better", "kind", "data_sha256")


def measured_boards_text(
    boards: Sequence[MeasuredBoard], form: Literal["table", "md", "csv", "json"]
) -> str:
    """Boards in one of the formats; see `board_text.boards_text`."""
    if form == "json":
        return json.dumps([board.to_json() for board in boards], indent=1)
    if form == "csv":
        return as_csv(measured_flat_rows(boards))
    draw = measured_markdown if form == "md" else _plain
    return "\n\n".join(draw(board) for board in boards)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of a board as CSV, with the names of the first one as a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0] if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def measured_markdown(board: MeasuredBoard) -> str:
    """A board under a heading of the second level."""
    return as_markdown(measured_table(board))


def measured_html(board: MeasuredBoard) -> str:
    """A board as a part of a task's section on the page."""
    table = measured_table(board)
    heading = f"<h3>{html(board.title.removeprefix(board.task).lstrip(': '))}</h3>"
    inner = as_html(Table("", table.headers, table.rows, table.notes))
    return f'<div class="measured">\n{heading}\n<div class="scroll">{inner}</div>\n</div>'


def measured_frame(boards: Iterable[MeasuredBoard]) -> DataFrame:
    """Boards as a table of plain columns; see `measured_flat_rows`."""
    import pandas

    table = pandas.DataFrame(measured_flat_rows(boards))
    counts = dict.fromkeys(("rank", "num_seeds", "num_parameters"), "Int64")
    return table if table.empty else table.astype(counts | {"error": "float64"})


def measured_flat_rows(boards: Iterable[MeasuredBoard]) -> list[dict[str, Any]]:
    """The numbers of boards as plain values, one a row."""
    return [
        {name: getattr(board, name) for name in _COLUMNS}
        | {"key": column.key, "model": row.model, **vars(cell)}
        | {"num_parameters": row.num_parameters, "status": row.status, "source": row.source}
        for board in boards
        for row in board.rows
        for column, cell in zip(board.columns, row.cells, strict=True)
        if cell is not None
    ]


def measured_table(board: MeasuredBoard) -> Table:
    """A board as a table: a rank and a number for each column, and what is known of each row."""
    heads: list[str] = []
    for column in board.columns:
        heads += ["rank", _heading(board, column)]
    rows = []
    for row in board.rows:
        numbers = [text for cell in row.cells for text in _cell_texts(cell)]
        model = f"{row.model} (baseline)" if row.result is None else row.model
        rows.append((model, *numbers, *_about(row)))
    headers = ("model", *heads, "seeds", "machine", "parameters", "status")
    return Table(board.title, headers, rows, board.notes)


def _plain(board: MeasuredBoard) -> str:
    """A board for a terminal, drawn as that of the likelihood is."""
    table = measured_table(board)
    sides = ["right" if table.holds_numbers(i) else "left" for i in range(len(table.headers))]
    lines = [[*map(one_line, line)] for line in (table.headers, *table.rows)]
    drawn = drawn_plainly(lines, sides, 2)
    notes = [filled(one_line(note)) for note in table.notes]
    return "\n\n".join([one_line(table.title), drawn, *notes])


def drawn_plainly(lines: Sequence[Sequence[str]], sides: Sequence[str], last_kept: int) -> str:
    """A board for a terminal, as far as it has room, and then the names of the columns left out.

    What a row is and how good it is stay longest; then who vouches for it.

    Args:
        lines: the header and the rows.
        sides: "left" or "right", for each column.
        last_kept: the number of the column with the first number.
    """
    width, note = terminal_width(), ""
    if width is not None:
        num_columns = len(lines[0])
        least = [*reversed(range(last_kept + 1, num_columns - 1)), num_columns - 1]
        lines, kept, _, note = fit(lines, width, least=least)
        sides = [sides[column] for column in kept]
    # With a header of its own, tabulate would draw columns wider than the header.
    columns = zip(*lines, strict=True)
    widths = [max(len(part) for cell in own for part in cell.split("\n")) for own in columns]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    drawn = tabulate(ruled, tablefmt="plain", disable_numparse=True, colalign=sides)
    return f"{drawn}\n\n{filled(f'({note})')}" if note else drawn


def _heading(board: MeasuredBoard, column: Column) -> str:
    alone = len(board.columns) == 1 and column.machine is None
    return board.unit if alone and "?" not in column.key else f"{column.label}, {board.unit}"


def _cell_texts(cell: Cell | None) -> tuple[str, str]:
    if cell is None:
        return "-", "-"
    rank = "-" if cell.rank is None else str(cell.rank)
    return rank, measured_text(cell.value, cell.error)


def _about(row: MeasuredRow) -> tuple[str, str, str, str]:
    cells = [cell for cell in row.cells if cell is not None]
    seeds = sorted({cell.num_seeds for cell in cells if cell.num_seeds is not None})
    machines = dict.fromkeys(cell.machine for cell in cells if cell.machine)
    status = {"local": "self-reported, local", "baseline": "-"}.get(row.status, row.status)
    return (
        ", ".join(map(str, seeds)) or "-",
        ", ".join(machines) or "-",
        "-" if row.num_parameters is None else f"{row.num_parameters:,}",
        status,
    )
