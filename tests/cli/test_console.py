"""Progress: a bar with an ETA on a terminal, a line a minute elsewhere; and the final tables."""

from __future__ import annotations

import io
import re
import shutil
import threading
from pathlib import Path

import pytest
from forging import forge
from making import with_likelihood
from rich.console import Console

from arbench.cli import console as module
from arbench.cli import main
from arbench.cli.console import ConsoleReporter
from arbench.hub.card import card_of
from arbench.measure.statistics.paired import PairedDifference
from arbench.runs.record.record import Record
from arbench.show.record_tables import likelihood_table, speed_table
from arbench.show.tables import Table, as_rich

ZOO = Path(__file__).parent.parent.parent / "zoo"


def test_a_terminal_sees_percentage_eta_and_note() -> None:
    out = io.StringIO()
    reporter = ConsoleReporter(Console(file=out, force_terminal=True, width=140))
    with reporter.bar("training") as advance:
        advance(0.5, "best 1.23")
    text = out.getvalue()
    assert "training" in text
    assert " 50%" in text
    assert "eta" in text
    assert "best 1.23" in text


@pytest.mark.parametrize(
    ("width", "note"),
    [
        (50, ""),
        (80, " best validation 0.1848 bits/pixel"),
        (140, " best validation 0.1848 bits/pixel, 100.43 nats"),
    ],
)
def test_a_narrow_terminal_keeps_bar_time_spent_and_time_left(width: int, note: str) -> None:
    out = io.StringIO()
    reporter = ConsoleReporter(Console(file=out, force_terminal=True, width=width))
    with reporter.bar("training", live=False) as advance:
        advance(0.5, "best validation 0.1848 bits/pixel, 100.43 nats")
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).replace("\r", "\n").splitlines()
    (drawn,) = {line.rstrip() for line in lines if " 50%" in line}
    assert re.fullmatch(rf"training [━╸╺]{{8,30}}  50% 0:00:0\d eta [-:\d]{{7}}{note}", drawn)
    assert len(drawn) <= width


def test_a_bar_that_is_not_live_is_drawn_by_nobody_but_the_caller() -> None:
    out = io.StringIO()
    reporter = ConsoleReporter(Console(file=out, force_terminal=True, width=140))
    before = threading.active_count()
    with reporter.bar("timing", live=False) as advance:
        assert threading.active_count() == before
        advance(0.5, "step, batch 64")
        assert " 50%" in out.getvalue()
        assert "step, batch 64" in out.getvalue()


def test_a_log_sees_a_line_a_minute_and_one_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    out = io.StringIO()
    reporter = ConsoleReporter(Console(file=out, width=140))
    with reporter.bar("training") as advance:
        for step in range(200):
            now = float(step)
            advance(step / 200, f"step {step}")
    assert out.getvalue().splitlines() == [
        "training: 30%, step 61",
        "training: 61%, step 122",
        "training: 92%, step 183",
        "training: done, step 199",
    ]


def _printed(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(as_rich(table))
    return out.getvalue()


def _record(num_events: int) -> Record:
    """A record of the zoo, its test split as small as wanted."""
    record = Record.read(ZOO / "mnist-mini" / "nade" / "record.json")
    test = record.splits["test"].model_copy(update={"num_events": num_events})
    return with_likelihood(record, test=test)


def test_the_final_table_says_when_a_number_rests_on_few_events() -> None:
    for num_events, said in ((43, True), (199, True), (200, False)):
        record = _record(num_events)
        for text in (
            _printed(likelihood_table(record.model_dump())),
            card_of(ZOO / "mnist-mini" / "nade", record),
        ):
            assert (f"rests on {num_events} events only" in text) == said


def test_the_word_for_a_group_is_no_markup() -> None:
    record = _record(200)
    test = record.splits["test"].model_copy(update={"num_groups": 20})
    task = record.task.model_copy(update={"groups": "[red]recording[/red]"})
    grouped = with_likelihood(record, test=test).model_copy(update={"task": task})
    assert "over 20 [red]recording[/red]s" in _printed(likelihood_table(grouped.model_dump()))


def test_median_and_iqr_have_a_column_each() -> None:
    row = {"method": "step", "batch_size": 64, "device": "cpu"}
    row |= {"events_per_s": 5203.0, "extrapolated": False}
    rows = [
        {**row, "repeats": 5, "median_s": 0.0123, "iqr_s": 0.0004},
        {**row, "repeats": 1, "median_s": 2.5, "iqr_s": 0.0},
    ]
    table = speed_table(rows)
    assert table.headers[-2:] == ("median time", "IQR")
    assert [row[-2:] for row in table.rows] == [
        ("12.3 ms", "400 µs"),
        ("2.50 s", "-"),  # one repeat has no spread
    ]


def test_what_a_record_says_is_text_and_no_markup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(ZOO / "mnist-mini" / "nade", tmp_path / "run"))
    forge(run, lambda record: record["task"].update(unit="[/b]"))
    assert main(["evaluate", str(run), "--limit", "2", "--device", "cpu"]) == 0
    assert "bits/[/b]" in capsys.readouterr().out
    record = _record(43)
    rows = [row.model_dump() | {"device": "[/b][red]"} for row in record.speeds]
    task = record.task.model_copy(update={"unit": "[/b]"})
    assert "[/b][red]" in _printed(speed_table(rows))
    other = record.model_copy(update={"task": task}).model_dump()
    assert "bits/[/b]" in _printed(likelihood_table(other))


@pytest.mark.parametrize(
    ("p_value", "said"),
    [(0.0, "p < 1e-12"), (3e-300, "p < 1e-12"), (0.0312, "p = 0.031"), (1.0, "p = 1")],
)
def test_a_tiny_p_value_is_not_printed_as_zero(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    p_value: float,
    said: str,
) -> None:
    monkeypatch.setattr(PairedDifference, "p_value", p_value)
    result = PairedDifference(nats=1.0, standard_error=0.1, num_events=10, num_groups=10)
    monkeypatch.setattr("arbench.api.compare", lambda a, b, measurement: result)
    assert main(["compare", "a", "b"]) == 0
    assert f", {said};" in capsys.readouterr().out
