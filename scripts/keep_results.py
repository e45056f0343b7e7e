"""Keep finished runs and speed reports under leaderboards/records; make every table from them.

    python scripts/keep_results.py [RUN | SPEED.json ...]

A RUN is a run folder: its result is kept, recomputed from its weights, and marked verified if the
number holds. A SPEED.json is what `arbench bench` has left. Then the pages of leaderboards/ and the
tables in the READMEs are made again; without arguments nothing else is done.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from arbench.boards.board_text import board_pages
from arbench.boards.boards import make_boards
from arbench.boards.kept import boards_file
from arbench.boards.live.notes import keep_notes
from arbench.boards.results import (
    fill_section,
    keep_result,
    keep_speeds,
    keep_verification,
    read_results,
    results_table,
)
from arbench.errors import ArbenchError
from arbench.registry.manager import registry

ROOT = Path(__file__).resolve().parents[1]
BOARDS = ROOT / "leaderboards"
RECORDS = BOARDS / "records"


def pages() -> dict[Path, str]:
    """Every page that holds results, and what it should say."""
    results = read_results(RECORDS)
    tables = {ROOT / "README.md": results_table(results)}
    for page in sorted((ROOT / "plugins").glob("*/README.md")):
        own = {
            name
            for name, offer in registry().models.items()
            if offer.target.partition(":")[0].partition(".")[0] == page.parent.name
        }
        tables[page] = results_table(r for r in results if r.record.model.name in own)
    filled = {page: fill_section(page.read_text(), table) for page, table in tables.items()}
    boards = groupby(make_boards(results, unchecked=True), lambda board: board.task)
    ready = {BOARDS / f"{task}.json": boards_file(RECORDS, task, own) for task, own in boards}
    return filled | ready | {BOARDS / name: text for name, text in board_pages(results).items()}


def keep(argument: Path) -> list[Path]:
    """Keep a run folder or a report of speed; returns what was written."""
    if argument.is_file():
        return [keep_speeds(argument, RECORDS)]
    kept = [keep_result(argument, RECORDS)]
    if (notes := keep_notes(argument, kept[0])) is not None:
        kept.append(notes)
    if (argument / "model.safetensors").exists():
        kept.append(keep_verification(argument, RECORDS))
    return kept


if __name__ == "__main__":
    try:
        for argument in sys.argv[1:]:
            for path in keep(Path(argument)):
                print(path.relative_to(ROOT))
    except ArbenchError as error:
        sys.exit(f"keep_results: {error}")
    for page, text in pages().items():
        page.write_text(text)
