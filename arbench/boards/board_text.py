"""A board as a terminal table, Markdown, CSV or JSON (`arbench leaderboard --format`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from tabulate import tabulate

from arbench.boards.measured_text import (
    ABOUT_MEASURED,
    as_csv,
    drawn_plainly,
    measured_markdown,
)
from arbench.boards.rows import Board, Row, flat_rows
from arbench.data.units import nats_per
from arbench.show import escaping
from arbench.show.escaping import one_line
from arbench.show.wording import rate_text, training_text, with_error

if TYPE_CHECKING:
    from arbench.boards.measured_boards import MeasuredBoard
    from arbench.boards.results import Result

Format = Literal["table", "md", "csv", "json"]
ABOUT_RANKS = (
    "Rank is 1 plus the number of results that are significantly better (paired t test on the "
    "log-probabilities of the same test events, over independent groups of them, Holm, 5 %; fewer "
    "than 10 groups are not tested). It is about these weights; two rows of at least 3 seeds each "
    "are tested as recipes, over their seeds, too. ± is one standard error."
)
ABOUT_GROUPS = "Results that share a letter cannot be told apart by these tests."
ABOUT_GROWING = (
    "Still growing: the error of a stream at 20 blocks, which longer blocks would raise. It is a "
    "lower bound, and a rank that rests on it promises more than it keeps."
)
ABOUT_CHECKS = (
    "✓: the trained model kept its promises at its own size: causality, step, samples that follow "
    "its likelihood."
)
ABOUT_PUBLISHED = "Published numbers are not ranked: nobody here can test them."
ABOUT_COMPRESSORS = (
    "Compressors are not ranked either: a size has no log-probability of each event. They learn as "
    "they go, from what they are given."
)
ABOUT_SPEEDS = "Samples/s are those of the best batch size; ~ means timed in part and scaled."


def boards_text(boards: Sequence[Board], form: Format) -> str:
    """Boards in one of the formats.

    Args:
        boards: any number.
        form: "json" and "csv" for machines; "md" and "table" for people.
    """
    if form == "json":
        return json.dumps([board.to_json() for board in boards], indent=1)
    if form == "csv":
        return as_csv(flat_rows(boards))
    mark, shown = ("## ", escaping.markdown) if form == "md" else ("", one_line)
    return "\n\n".join(
        f"{mark}{shown(board.title)}\n\n{board_table(board, markdown=form == 'md')}"
        for board in boards
    )


def board_table(board: Board, *, markdown: bool) -> str:
    """One board as a table."""
    shown = escaping.markdown if markdown else one_line
    devices = sorted({speed.device for row in board.rows for speed in row.speeds})
    has_runs = any(row.run for row in board.rows)
    headers = [
        "rank",
        *["group"] * board.has_groups,
        *["run"] * has_runs,
        "model",
        f"bits/{board.unit}",
        f"nats/{nats_per(board.unit)}",
    ]
    headers += ["seeds"] * (board.num_results > 0)
    headers += ["gap to the truth, nats"] * board.has_gap
    headers += ["parameters", "training", *(f"samples/s, {device}" for device in devices)]
    rows = []
    for row in board.rows:
        cells = [
            "-" if row.rank is None else str(row.rank),
            *[row.group or "-"] * board.has_groups,
            *[row.run or "-"] * has_runs,
            row.model,
            _number(row.bits_per_dim, row.bits_error, 4, row),
            _number(row.nats, row.nats_error, 2 if nats_per(board.unit) == "event" else 4, row),
        ]
        cells += [seeds_text(row) or "-"] * (board.num_results > 0)
        cells += [_number(row.gap_nats, None, 3, row)] * board.has_gap
        cells += [
            "-" if row.num_parameters is None else f"{row.num_parameters:,}",
            _training(row),
            *(speed_text(row, device) for device in devices),
            status_text(row),
        ]
        cells = [shown(cell) for cell in cells]
        if markdown and not row.is_result:
            place = headers.index("model")
            cells[place] = f"*{cells[place]}*"
        rows.append(cells)
    sides = ["right" if h not in ("group", "run", "model", "training") else "left" for h in headers]
    lines = [[*map(shown, headers), "status"], *rows]
    if not markdown:
        return drawn_plainly(lines, [*sides, "left"], headers.index(f"nats/{nats_per(board.unit)}"))
    return tabulate(
        lines[1:], lines[0], tablefmt="github", disable_numparse=True, colalign=(*sides, "left")
    )


def board_pages(results: Iterable[Result]) -> dict[str, str]:
    """The pages of a folder of results: one for each task, by file name, and a list of them.

    Args:
        results: those of `read_results`.
    """
    from arbench.boards.boards import make_boards  # a table alone must not wait for torch
    from arbench.boards.measured_boards import make_measured_boards

    pages, contents = {}, []
    results = [*results]
    measured = make_measured_boards(results)
    for task, group in groupby(make_boards(results), lambda board: board.task):
        boards = [*group]
        others = [board for board in measured if board.task == task]
        pages[f"{task}.md"] = _page(task, boards, others)
        for board in boards:
            if best := next((row for row in board.rows if row.is_result), None):
                contents.append(
                    (
                        f"[{escaping.markdown(board.title)}]({task}.md)",
                        escaping.markdown(best.model),
                        _number(best.bits_per_dim, best.bits_error, 4, best),
                        _number(best.nats, best.nats_error, 3, best)
                        + f" per {nats_per(board.unit)}",
                        board.num_results,
                        board.num_published,
                    )
                )
    headers = ("task", "best model", "bits/dim", "nats", "results", "published")
    table = tabulate(contents, headers, tablefmt="github", disable_numparse=True)
    pages["README.md"] = f"# Leaderboards\n\n{table}\n\n{ABOUT_RANKS}\n"
    return pages


def _page(task: str, boards: Sequence[Board], measured: Sequence[MeasuredBoard]) -> str:
    blocks = [f"# {escaping.markdown(task)}"]
    for board in boards:
        if len(boards) > 1:
            blocks.append(f"## {escaping.markdown(board.title)}")
        blocks.append(board_table(board, markdown=True))
        notes = [
            f"- {escaping.markdown(row.model, begins=True)}: {escaping.markdown(row.note)}"
            for row in board.rows
            if row.note
        ]
        if notes:
            blocks.append("\n".join(["Notes on published numbers:", "", *notes]))
    sentences = [ABOUT_RANKS, ABOUT_PUBLISHED, ABOUT_SPEEDS]
    if any(board.has_groups for board in boards):
        sentences.insert(1, ABOUT_GROUPS)
    if any(row.status == "compressor" for board in boards for row in board.rows):
        sentences.insert(-1, ABOUT_COMPRESSORS)
    blocks.append(" ".join(sentences))
    if measured:
        blocks[-1:-1] = [measured_markdown(board) for board in measured]
        blocks.append(ABOUT_MEASURED)
    if any(row.is_checked for board in boards for row in board.rows):
        blocks.append(ABOUT_CHECKS)
    if any(row.still_growing for board in boards for row in board.rows):
        blocks.append(ABOUT_GROWING)
    for sha256, data in dict.fromkeys((board.data_sha256, board.data) for board in boards):
        if sha256 is not None:
            about = f" of {escaping.markdown(data)}" if data else ""
            blocks.append(f"Data{about}: sha256 `{sha256}`.")
    return "\n\n".join(blocks) + "\n"


def status_text(row: Row) -> str:
    """Who vouches for a row: arbench, the user, or a paper; of a compressor, what it was given."""
    if row.status == "compressor":
        return f"compressor: {row.source}"
    if row.published:
        return row.source + (" (unchecked)" if row.status == "unchecked" else "")
    status = {"local": "self-reported, local"}.get(row.status, row.status)
    return f"{status} ✓" if row.is_checked else status


def seeds_text(row: Row) -> str:
    """Over how many seeds of one recipe a row is a mean; empty without a rank."""
    if row.num_seeds is None:
        return ""
    if row.num_seeds == 1 or row.nats_sd is None:
        return "1 seed: these weights"
    return f"{row.num_seeds} seeds, sd {row.nats_sd:.2g} nats"


def speed_text(row: Row, device: str) -> str:
    """Samples per second on a device, by sampler, fastest first."""
    speeds = [speed for speed in row.speeds if speed.device == device]
    return (
        ", ".join(
            f"{speed.method} {rate_text(speed.events_per_s, extrapolated=speed.extrapolated)}"
            for speed in sorted(speeds, key=lambda s: -s.events_per_s)
        )
        or "-"
    )


def _training(row: Row) -> str:
    if row.training_s is None:
        return "-"
    return f"{training_text(row.training_s)}, {row.training_device}"


def _number(value: float | None, error: float | None, digits: int, row: Row) -> str:
    if value is None:
        return "-"
    return with_error(value, error, digits, still_growing=row.still_growing)
