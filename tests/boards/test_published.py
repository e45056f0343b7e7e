"""Published numbers: every row says where it comes from, and units are turned into one another."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from making import with_likelihood

from arbench.boards.published import (
    PublishedResult,
    beside,
    nats_of,
    published_results,
    published_table,
    published_tasks,
)
from arbench.registry.manager import registry
from arbench.runs.record.record import Record

RECORDS = Path(__file__).parents[2] / "leaderboards" / "records"
EVERY = [result for task in published_tasks() for result in published_results(task)]
ROW = PublishedResult("t", "m", "", 2.0, "nats", "exact", "p (2000)", True, "", "")


def record_of(task: str, unit: str, total_nats: float, num_events: int, num_dims: int) -> Record:
    """A kept record with another task and other totals."""
    record = Record.read(next(RECORDS.glob("mnist/nade-*.json")))
    test = record.splits["test"].model_copy(
        update={
            "total_nats": total_nats,
            "num_events": num_events,
            "num_dims": num_dims,
            "nats_per_event": total_nats / num_events,
        }
    )
    task_part = record.task.model_copy(update={"name": task, "unit": unit})
    return with_likelihood(record.model_copy(update={"task": task_part}), test=test)


def test_every_row_has_a_source_and_a_known_unit_task_and_model() -> None:
    offers = registry()
    for row in EVERY:
        assert row.task in offers.tasks
        assert row.our_model in {"", *offers.models}
        year = re.fullmatch(r".+ \((\d{4})\)", row.source)
        assert year is not None
        assert 1990 < int(year[1]) < 2030
        assert re.fullmatch("nats(/char|/step)?|bits/(dim|char|byte|sample)", row.unit), row
        assert row.where or not row.checked
        assert 0 < row.value < 1000


def test_the_rows_of_a_task_have_one_unit() -> None:
    for task in published_tasks():
        assert len({row.unit for row in published_results(task)}) == 1, task


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("nats", 2.0 / 784),
        ("nats/char", 2.0),
        ("nats/step", 2.0 / 88),
        ("bits/dim", 2 * math.log(2)),
    ],
)
def test_units_become_nats_per_dim(unit: str, expected: float) -> None:
    assert replace(ROW, unit=unit).nats_per_dim(784) == pytest.approx(expected, rel=1e-15)


def test_texts_compare_per_character() -> None:
    record = record_of(
        "shakespeare", "char", total_nats=1.5 * 111_540, num_events=871, num_dims=111_540
    )
    assert nats_of(record) == pytest.approx(1.5)
    assert [nats for nats, _ in beside(record)] == [row.value for _, row in beside(record)]
    table = published_table(record)
    assert table is not None
    assert table.headers == ("test nats/char", "model", "source")
    assert [row[0] for row in table.rows] == ["1.4697", "1.5000", "1.8800", "3.3473"]
    assert table.rows[1][1:] == ("nade", "this run")


def test_sounds_compare_per_event_from_bits_per_sample() -> None:
    record = record_of(
        "sc09", "sample", total_nats=4107 * 2e4, num_events=4107, num_dims=4107 * 16_000
    )
    wavenet = next(nats for nats, row in beside(record) if row.our_model == "wavenet")
    assert wavenet == pytest.approx(1.925 * math.log(2) * 16_000)


def test_neighbours_are_checked_of_the_same_kind_and_on_both_sides() -> None:
    record = Record.read(next(RECORDS.glob("mnist-static/nade-*.json")))
    table = published_table(record, count=3)
    assert table is not None
    own = nats_of(record)
    assert table.rows[3] == (f"{own:.2f}", "nade", "this run")
    checked = [(nats, row) for nats, row in beside(record) if row.checked]
    assert all(row.kind == "exact" for _, row in checked)
    better = sorted((own - nats for nats, _ in checked if nats <= own))
    worse = sorted(nats - own for nats, _ in checked if nats > own)
    expected = [own - gap for gap in reversed(better[:3])] + [own + gap for gap in worse[:3]]
    rows = [*table.rows[:3], *table.rows[4:]]
    assert [row[0] for row in rows] == [f"{nats:.2f}" for nats in expected]
    known = {(row.model, row.source) for _, row in checked}
    assert {row[1:] for row in rows} <= known


def test_there_is_no_table_where_a_number_or_a_neighbour_is_missing() -> None:
    record = Record.read(next(RECORDS.glob("mnist-static/nade-*.json")))
    untested = with_likelihood(record, validation=record.splits["validation"], test=None)
    assert published_table(untested) is None
    assert published_table(record_of("nowhere", "pixel", 1.0, 1, 1)) is None
    limited = record.model_copy(
        update={"training": record.training.model_copy(update={"limit": 100})}
    )
    table = published_table(limited)
    assert table is not None
    assert [row[2] for row in table.rows].count("this run (a part of the data)") == 1
