"""A board's table on the HTML page, its records, and the strip that plots its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote

from arbench.boards.board_text import seeds_text, status_text
from arbench.boards.measured_text import as_csv
from arbench.boards.rows import Board, Row, Speed, flat_rows
from arbench.data.units import nats_per
from arbench.runs.record.reproduction import command_of
from arbench.show.escaping import html
from arbench.show.record_tables import record_tables
from arbench.show.tables import as_html
from arbench.show.wording import rate_text, training_text, with_error

# Papers' rows have nothing there.
_OWN_HEADS = [
    ("parameters", "parameters", "number"),
    ("training", "training", "number wide"),
    ("speed", "samples/s", "number"),
]
_STRIP_WIDTH, _STRIP_HEIGHT = 240, 18


def table(board: Board, key: str) -> str:
    """The complete table; with JavaScript, its column heads are buttons.

    Args:
        board: to show.
        key: what the table's identifiers begin with.
    """
    per = nats_per(board.unit)
    heads = [
        ("rank", "rank", "number"),
        ("model", "model", ""),
        ("score", board.measure, "number"),
        *([("nats", f"nats/{per}", "number")] if board.has_bits else []),
        *([("gap", "gap to the truth, nats", "number")] if board.has_gap else []),
        *(_OWN_HEADS if board.num_results else []),
    ]
    cells = "".join(
        f'<th scope="col" class="{kind}" data-key="{name}"'
        f"{' aria-sort=' + chr(34) + 'ascending' + chr(34) if name == 'score' else ''}>"
        f'<button type="button">{html(text)}</button></th>'
        for name, text, kind in heads
    )
    rows = "\n".join(
        _row(board, row, record_id(key, place)) for place, row in enumerate(board.rows)
    )
    return f"""<div class="scroll"><table id="table-{key}">
<caption class="hidden">{html(board.title)}, {html(board.measure)}; lower is better</caption>
<thead><tr>{cells}</tr></thead>
<tbody>
{rows}
</tbody></table></div>"""


def caption(board: Board, score: float) -> str:
    """A number with its unit, HTML."""
    number = f'<span class="value">{score:.{_digits(board)}f}</span>'
    return f'<span class="score">{number} {html(board.measure)}</span>'


def record_id(key: str, place: int) -> str:
    """What a link to the record of a board's row ends in."""
    return f"record-{key}-{place}"


def _row(board: Board, row: Row, record: str) -> str:
    rank = (
        '<span aria-hidden="true">–</span><span class="hidden">not ranked</span>'
        if row.rank is None
        else f'<span class="rank rank-{row.rank}">{row.rank}</span>'
    )
    if board.has_groups and row.group:
        rank += f' <small class="group">{html(row.group)}</small>'
    cells = [
        _cell(rank, row.rank),
        f'<th scope="row" data-value="{html(row.model.lower())}">'
        f"{_model(row)}{_about(board, row, record)}</th>",
        _cell(
            _pair(row.score, row.score_error, _digits(board), row),
            row.score,
            "score",
            unit="bits" if board.has_bits else "nats",
        ),
    ]
    if board.has_bits:
        digits = 2 if nats_per(board.unit) == "event" else 4
        pair = _pair(row.nats, row.nats_error, digits, row)
        cells.append(_cell(pair, row.nats, "nats", unit="nats"))
    if board.has_gap:
        cells.append(_cell(_pair(row.gap_nats, None, 3, row), row.gap_nats, "gap", unit="nats gap"))
    if board.num_results:
        size = "–" if row.num_parameters is None else f"{row.num_parameters:,}"
        best = max((speed.events_per_s for speed in row.speeds), default=None)
        cells.append(_cell(size, row.num_parameters, "size", unit="parameters"))
        cells.append(_cell(_training(row), row.training_s, "wide"))
        cells.append(_cell(_speeds(row.speeds), best, "speeds", unit="samples/s"))
    kind = "own" if row.is_result else "published" if row.published else "compressor"
    return f'<tr class="{kind}">{"".join(cells)}</tr>'


def _cell(content: str, value: float | None, kind: str = "", *, unit: str = "") -> str:
    """A cell; its unit is shown where a phone has no heads above it."""
    known = f' data-unit="{unit}"' if unit and value is not None else ""
    number = "" if value is None else value
    return f'<td class="number {kind}" data-value="{number}"{known}>{content}</td>'


def _model(row: Row) -> str:
    badge = f' <span class="badge {row.status}">{html(status_text(row))}</span>'
    return f'<span class="model">{html(row.model)}</span>{badge if row.is_result else ""}'


def _about(board: Board, row: Row, record: str) -> str:
    """Where a row comes from; on demand its note, record, command and numbers."""
    source = row.source if row.is_result else status_text(row)
    shown = f"{seeds_text(row)}, {source}" if row.is_result else source
    parts = [f"<small>{html(row.note)}</small>"] if row.note else []
    narrow = []  # what a phone has no room for in the row itself
    if row.training_s is not None:
        narrow.append(f"trained {training_text(row.training_s)} on {row.training_device}")
    if row.still_growing:
        narrow.append("errors still growing")
    if narrow:
        parts.append(f'<small class="narrow">{html(", ".join(narrow))}</small>')
    links = []
    if row.result is not None:
        links.append(f'<a href="#{record}">record</a>')
        if (command := command_of(row.result.record)) is not None:
            parts.append(f'<code class="command">{html(command)}</code>')
    links.append(csv_link(replace(board, rows=(row,)), row.model))
    parts.append(f'<small class="links">{" · ".join(links)}</small>')
    summary = html(shown).replace("/", "/<wbr>")
    return f'<details class="source"><summary>{summary}</summary>{"".join(parts)}</details>'


def csv_link(board: Board, name: str) -> str:
    """A link that saves the rows of a board as CSV."""
    file = re.sub(r"[^a-z0-9]+", "-", f"{board.key} {name}".lower()).strip("-")
    text = quote(as_csv(flat_rows([board])) + "\n", safe="/:,;()=+@~*!$|")
    return f'<a download="{file}.csv" href="data:text/csv;charset=utf-8,{text}">CSV</a>'


def _pair(value: float | None, error: float | None, digits: int, row: Row) -> str:
    """A number and its standard error."""
    if value is None:
        return "–"
    text = with_error(value, error, digits, still_growing=row.still_growing)
    number, _, error_text = text.partition(" ± ")
    error_text, _, growing = error_text.partition(" (")
    growing = f'<span class="growing"> ({growing}</span>' if growing else ""
    return number + (f' <span class="error">± {error_text}{growing}</span>' if error_text else "")


def _training(row: Row) -> str:
    if row.training_s is None:
        return "–"
    return f"{training_text(row.training_s)} <small>{html(row.training_device or '')}</small>"


def _speeds(speeds: Iterable[Speed]) -> str:
    """The fastest sampler of every device; the others on demand."""
    ordered = sorted(speeds, key=lambda speed: (speed.device, -speed.events_per_s))
    if not ordered:
        return "–"
    best = {speed.device: speed for speed in reversed(ordered)}
    others = [speed for speed in ordered if best[speed.device] is not speed]
    more = ""
    if others:
        lines = "".join(map(_speed, others))
        more = f"<details><summary>{len(others)} more</summary>{lines}</details>"
    return "".join(_speed(best[device]) for device in sorted(best)) + more


def _speed(speed: Speed) -> str:
    rate = rate_text(speed.events_per_s, extrapolated=speed.extrapolated)
    return (
        f'<span class="speed">{rate} '
        f"<small>{html(speed.method)}, {html(speed.device)}</small></span>"
    )


def _digits(board: Board) -> int:
    return 4 if board.has_bits else 2


def strip(board: Board) -> str:
    """Every number of a board on a line, SVG: results as dots, all others as strokes."""
    low, high = (pick(row.score for row in board.rows) for pick in (min, max))
    # A floor far away would press all others together.
    high = min(high, low * 1.5) if low > 0 else high
    scale = (_STRIP_WIDTH - 12) / ((high - low) or 1)
    marks = []
    for row in sorted(board.rows, key=lambda row: row.is_result):
        x = 6 + (min(row.score, high) - low) * scale
        if not row.is_result:
            marks.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="14"/>')
        else:
            marks.append(f'<circle cx="{x:.1f}" cy="9" r="4"/>')
    middle = _STRIP_HEIGHT / 2
    return (
        f'<svg class="strip" viewBox="0 0 {_STRIP_WIDTH} {_STRIP_HEIGHT}" aria-hidden="true">'
        f'<line class="axis" x1="0" x2="{_STRIP_WIDTH}" y1="{middle}" y2="{middle}"/>'
        f"{''.join(marks)}</svg>"
    )


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
