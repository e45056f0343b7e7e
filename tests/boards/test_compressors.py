"""Compressors on boards: sizes that a library makes again, in the units of the results."""

from __future__ import annotations

import bz2
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from arbench.boards.board_text import board_pages, board_table
from arbench.boards.boards import make_boards
from arbench.boards.page import render_page
from arbench.boards.published import _compressed, compressed_tests
from arbench.boards.results import kept_records, read_results
from arbench.data.offline import NotHereError, offline
from arbench.data.tasks import SPLITS, open_task


def _packed(name: str) -> int:
    """The shorter of bits packed through all events, and row by row."""
    test = open_task(name).load("test").events.numpy()
    forms = [np.packbits(test), np.packbits(test, axis=-1)]
    return min(len(bz2.compress(form.tobytes(), 9)) for form in forms)


def _text(name: str) -> int:
    task = open_task(name)
    splits = [task.load(split).events.flatten() for split in SPLITS]
    texts = [task.rendering.decode(split).encode() for split in splits]
    return len(bz2.compress(b"".join(texts), 9)) - len(bz2.compress(b"".join(texts[:2]), 9))


@pytest.mark.parametrize(
    ("name", "size", "per_dim"),
    [
        # Measured elsewhere, in bits per character and, of bits packed through, nats an image.
        ("shakespeare", _text, 2.398 * math.log(2)),
        ("mnist-static", _packed, 135.1 / 784),
        ("uci-dna", _packed, None),
    ],
)
def test_bz2_makes_the_kept_size_again(
    name: str, size: Callable[[str], int], per_dim: float | None
) -> None:
    try:
        with offline():
            expected = size(name)
    except NotHereError as error:
        pytest.skip(str(error))
    (row,) = [row for row in _compressed() if row.task == name and row.compressor == "bz2"]
    assert row.num_bytes == expected
    if per_dim is not None:
        assert 0.97 * per_dim < row.nats_per_dim < 1.0004 * per_dim


def test_a_board_shows_compressors_without_a_rank() -> None:
    results = [r for r in read_results(kept_records()) if r.record.task.name == "uci-dna"]
    (board,) = (board for board in make_boards(results) if board.kind == "exact")
    rows = {row.model: row for row in board.rows if row.status == "compressor"}
    assert {"xz", "bz2"} <= set(rows)
    sizes = {row.compressor: row for row in compressed_tests(board.data_sha256 or "", 1186 * 180)}
    for name, row in rows.items():
        assert row.rank is None
        bits = 8 * sizes[name].num_bytes / (1186 * 180)
        assert row.bits_per_dim == pytest.approx(bits)
        assert row.nats == pytest.approx(180 * bits * math.log(2))
    scores = [row.score for row in board.rows]
    assert scores == sorted(scores)
    assert [row.rank for row in board.rows if row.is_result] == [1, 2, 3, 4]
    assert board.num_results == 4
    assert board.num_published == 0
    (line,) = (line for line in board_table(board, markdown=False).splitlines() if " bz2 " in line)
    assert "compressor: test alone, 8 bits a byte; level 9" in line
    assert "Compressors are not ranked" in board_pages(results)["uci-dna.md"]
    page = render_page([board])
    assert page.count('<tr class="compressor">') == len(rows)
    assert 'value="compressor"' in page


def test_other_data_or_a_part_of_them_has_no_compressors() -> None:
    results = [r for r in read_results(kept_records()) if r.record.task.name == "uci-dna"]
    sha256 = results[0].record.task.data_sha256
    assert compressed_tests(sha256, 1186 * 180)
    assert not compressed_tests(sha256, 1185 * 180)
    assert not compressed_tests("0" * 64, 1186 * 180)
    record = results[0].record
    other = record.model_copy(
        update={"task": record.task.model_copy(update={"data_sha256": "0" * 64})}
    )
    (board,) = make_boards([replace(results[0], record=other)])
    assert not [row for row in board.rows if row.status == "compressor"]
