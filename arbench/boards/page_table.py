"""A board's table on the HTML page, and the strip that plots its numbers."""

from __future__ import annotations

from collections.abc import Iterable

from arbench.boards.board_text import seeds_text, status_text
from arbench.boards.rows import Board, Row, Speed
from arbench.data.units import nats_per
from arbench.show.escaping import html
from arbench.show.wording import rate_text, training_text, with_error

# Papers' rows have nothing there.
_OWN_HEADS = [
    ("parameters", "parameters", "number wide"),
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
        *([("nats", f"nats/{per}", "number wide")] if board.has_bits else []),
        *([("gap", "gap to the truth, nats", "number wide")] if board.has_gap else []),
        *(_OWN_HEADS if board.num_results else []),
    ]
    cells = "".join(
        f'<th scope="col" class="{kind}" data-key="{name}"'
        f"{' aria-sort=' + chr(34) + 'ascending' + chr(34) if name == 'score' else ''}>"
        f'<button type="button">{html(text)}</button></th>'
        for name, text, kind in heads
    )
    rows = "\n".join(_row(board, row) for row in board.rows)
    return f"""<div class="scroll"><table id="table-{key}">
<caption class="hidden">{html(board.title)}, {html(board.measure)}; lower is better</caption>
<thead><tr>{cells}</tr></thead>
<tbody>
{rows}
</tbody></table></div>"""


def caption(board: Board, score: float) -> str:
    """A number with its unit, HTML."""
    return f'<span class="value">{score:.{_digits(board)}f}</span> {html(board.measure)}'


def _row(board: Board, row: Row) -> str:
    rank = (
        '<span aria-hidden="true">–</span><span class="hidden">not ranked</span>'
        if row.rank is None
        else f'<span class="rank rank-{row.rank}">{row.rank}</span>'
    )
    cells = [
        _cell(rank, row.rank),
        f'<th scope="row" data-value="{html(row.model.lower())}">{_model(row)}</th>',
        _cell(_pair(row.score, row.score_error, _digits(board), row), row.score, "score"),
    ]
    if board.has_bits:
        digits = 2 if nats_per(board.unit) == "event" else 4
        cells.append(_cell(_pair(row.nats, row.nats_error, digits, row), row.nats, "wide"))
    if board.has_gap:
        cells.append(_cell(_pair(row.gap_nats, None, 3, row), row.gap_nats, "wide"))
    if board.num_results:
        size = "–" if row.num_parameters is None else f"{row.num_parameters:,}"
        best = max((speed.events_per_s for speed in row.speeds), default=None)
        cells.append(_cell(size, row.num_parameters, "wide"))
        cells.append(_cell(_training(row), row.training_s, "wide"))
        cells.append(_cell(_speeds(row.speeds), best))
    kind = "own" if row.is_result else "published" if row.published else "compressor"
    return f'<tr class="{kind}">{"".join(cells)}</tr>'


def _cell(content: str, value: float | None, kind: str = "") -> str:
    return f'<td class="number {kind}" data-value="{"" if value is None else value}">{content}</td>'


def _model(row: Row) -> str:
    status = status_text(row)
    badge = "" if not row.is_result else f' <span class="badge {row.status}">{html(status)}</span>'
    about = row.source if row.is_result else status
    seeds = "" if not row.is_result else f" <small>{seeds_text(row)}</small>"
    narrow = []  # what a phone has no columns for
    if row.num_parameters is not None:
        narrow.append(f"{row.num_parameters:,} parameters")
    if row.training_s is not None:
        narrow.append(f"trained {training_text(row.training_s)} on {row.training_device}")
    source = html(about).replace("/", "/<wbr>")
    if row.note:
        note = f"<small>{html(row.note)}</small>"
        source = f'<details class="source"><summary>{source}</summary>{note}</details>'
    else:
        source = f"<small>{source}</small>"
    extra = f'<small class="narrow">{html(", ".join(narrow))}</small>' if narrow else ""
    return f'<span class="model">{html(row.model)}</span>{badge}{seeds}{source}{extra}'


def _pair(value: float | None, error: float | None, digits: int, row: Row) -> str:
    """A number and its standard error."""
    if value is None:
        return "–"
    text = with_error(value, error, digits, still_growing=row.still_growing)
    number, _, error_text = text.partition(" ± ")
    return number + (f' <span class="error">± {error_text}</span>' if error_text else "")


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
