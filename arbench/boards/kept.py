"""The boards of the kept results, ready to be shown: `leaderboards/<task>.json`; without torch.

`scripts/keep_results.py` makes the files. Each names the hash of all that it was made of. One that
does not fit it is not shown: the boards are then made of the results themselves.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from arbench.boards.published import compressed_of, published_results
from arbench.boards.rows import Board, no_board_text, published_boards
from arbench.errors import ConfigError
from arbench.files.atomic import sha256_of
from arbench.files.canonical import canonical_sha256


def _kept_records() -> Path:
    """`results.kept_records`, which waits for torch."""
    return Path(str(resources.files("arbench.leaderboards"))) / "records"


def kept_boards(task: str | None = None, *, unchecked: bool = False) -> list[Board] | None:
    """The boards of a task, or of all that have a result, without a look at any of their values.

    None where no file holds them, or what it was made of has changed: `boards.find_boards` reads
    the results, and says what is wrong with them.

    Args:
        task: its name; None for every task that has a result.
        unchecked: also show published numbers that nobody has checked in their source.

    Raises:
        ConfigError: if nobody has a number on that task.
    """
    records = _kept_records()
    with_results = sorted(folder.name for folder in records.iterdir() if folder.is_dir())
    boards: list[Board] = []
    for name in with_results if task is None else {task}.intersection(with_results):
        if (own := _read(records, name)) is None:
            return None
        boards += own if unchecked else _checked(own)
    if not boards and task is not None:
        boards = published_boards(task, unchecked=unchecked)
        if not boards:
            raise ConfigError(no_board_text(task, {*with_results}, ()))
    return boards


def boards_file(records: Path, task: str, boards: Iterable[Board]) -> str:
    """The text of a task's file.

    Args:
        records: the folder of results.
        task: its name.
        boards: of its results, with the published numbers that nobody has checked.
    """
    rows = [board.to_json() for board in boards]
    made_of = _made_of(records, task, {row["data_sha256"] for row in rows})
    return json.dumps({"made_of": made_of, "boards": rows}, indent=1, allow_nan=False) + "\n"


def _read(records: Path, task: str) -> list[Board] | None:
    path = records.parent / f"{task}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_bytes())
    data = {board["data_sha256"] for board in found["boards"]}
    if found["made_of"] != _made_of(records, task, data):
        return None
    return [Board.from_json(board) for board in found["boards"]]


def _made_of(records: Path, task: str, data_sha256: Collection[str]) -> str:
    """The hash of the files of a task's results and of what stands beside them."""
    folder = records / task
    files = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in folder.rglob("*")
        if path.is_file()
    }
    published = [vars(result) for result in published_results(task)]
    compressed = [vars(size) for sha256 in sorted(data_sha256) for size in compressed_of(sha256)]
    return canonical_sha256({"files": files, "published": published, "compressed": compressed})


def _checked(boards: Iterable[Board]) -> list[Board]:
    """Boards without the numbers that nobody has checked; none of compressors alone."""
    kept = []
    for board in boards:
        rows = tuple(row for row in board.rows if row.status != "unchecked")
        if any(row.status != "compressor" for row in rows):
            kept.append(replace(board, rows=rows))
    return kept
