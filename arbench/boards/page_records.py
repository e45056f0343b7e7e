"""The full record of each result on the HTML page."""

from __future__ import annotations

from arbench.boards.page_table import record_id
from arbench.boards.rows import Board
from arbench.show.escaping import html
from arbench.show.record_tables import record_tables
from arbench.show.tables import as_html


def records(board: Board) -> str:
    """The records of a board's results as HTML; empty if it has none.

    Args:
        board: a result of several seeds has the record of one of them.
    """
    shown = [
        f'<details id="{record_id(html(board.key), place)}"><summary>{html(row.model)}</summary>'
        f"{''.join(map(as_html, record_tables(row.result.record.model_dump(mode='json'))))}"
        "</details>"
        for place, row in enumerate(board.rows)
        if row.result is not None
    ]
    if not shown:
        return ""
    return (
        '<details class="records"><summary>The record of each result</summary>'
        f"{''.join(shown)}</details>"
    )
