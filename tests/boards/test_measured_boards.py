"""Boards of any measurement: order, ranks, columns of machines, baselines, seeds, every format."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from answering import offer, section_of
from asked import Auroc, Cost, Mean, Ratio
from making import MakeResult, noise
from torch import Tensor

from arbench.boards.board_text import board_pages, boards_text
from arbench.boards.boards import make_boards
from arbench.boards.measured_boards import make_measured_boards
from arbench.boards.measured_text import measured_boards_text
from arbench.boards.page import render_page
from arbench.boards.results import Result
from arbench.measure.measurement import Measurement
from arbench.measure.per_event import EventValues, load_per_event, save_per_event
from arbench.measure.result_sections import RowRecord
from arbench.measure.statistics.resampling import NUM_RESAMPLES
from arbench.runs.record.record import HashesRecord, Record

Measure = Callable[..., Result]
EVENTS = 400


@pytest.fixture(autouse=True)
def _measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Mean, Cost, Ratio, Auroc)


@pytest.fixture
def measured(make_result: MakeResult) -> Measure:
    """A maker of results that have one measurement, or several, on a task of their own."""

    def make(
        name: str,
        *answers: tuple[Measurement, dict[str, Tensor]],
        groups: Tensor | None = None,
        machine: str = "",
        recipe: str | None = None,
        seed: int = 0,
        **parts: Any,
    ) -> Result:
        result = make_result("-".join([name, str(seed), *machine.lower().split()]), noise(0))
        record, kept = result.record, load_per_event(result.log_probs)
        assert record.training is not None
        training = record.training.model_copy(
            update={"seed": seed, "recipe_sha256": recipe and _sha256(recipe)}
        )
        environment = record.environment.model_copy(update={"gpu": machine or None})
        for measurement, values in answers:
            key = measurement.key
            kept[key] = EventValues(values, groups)
            section = section_of(
                record, measurement, values, groups, environment=environment, **parts
            )
            record = record.with_sections(**{key: section})
        result.log_probs.unlink()
        hashes = HashesRecord(
            weights=_sha256(f"{name} {seed}"), per_event=save_per_event(result.log_probs, kept)
        )
        model = record.model.model_copy(update={"name": name})
        update = {"sha256": hashes, "training": training, "model": model}
        return replace(result, record=record.model_copy(update=update))

    return make


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def spread(sigma: float) -> Tensor:
    """Numbers `(EVENTS,)` whose mean is 0, and whose paired error is `sigma`."""
    numbers = noise(1) - noise(1).mean()
    return numbers / numbers.std() * math.sqrt(EVENTS) * sigma


@pytest.mark.parametrize(
    ("measurement", "name", "order"),
    [(Mean(), "log_prob", ["high", "twin", "low"]), (Cost(), "nats", ["low", "twin", "high"])],
)
def test_rows_are_in_the_order_of_the_direction_and_ranks_are_paired(
    measured: Measure, measurement: Mean, name: str, order: list[str]
) -> None:
    """What is hard for all is no difference; what differs by luck alone shares a rank."""
    events = 10 * noise(2)
    high = measured("high", (measurement, {name: events}))
    twin = measured("twin", (measurement, {name: events - 0.001 + spread(0.002)}))
    low = measured("low", (measurement, {name: events - 0.2 + spread(0.01)}))
    (board,) = make_measured_boards([low, high, twin])
    assert [row.model for row in board.rows] == order
    ranks = [1, 1, 3] if order[0] == "high" else [1, 2, 2]
    assert [row.cells[0].rank for row in board.rows if row.cells[0]] == ranks
    direction = f"{measurement.unit} ({measurement.better} is better)"
    assert board.title == f"somewhere: {measurement.name}, {direction}"


def test_ranks_are_corrected_for_the_number_of_pairs(measured: Measure) -> None:
    """At 2.3 standard errors p is 0.021: enough for one pair, too much for one of three."""
    dims = torch.ones(EVENTS, dtype=torch.float64)
    events = 10 * noise(2)

    def result(name: str, nats: Tensor) -> Result:
        return measured(
            name, (Mean(), {"log_prob": -nats}), (Ratio(), {"nats": nats, "dims": dims})
        )

    good, bad = result("good", events), result("bad", events + 2.3 + spread(1))
    apart = result("apart", events + 1 + 40 * (noise(3) - noise(3).mean()))
    for results, expected in (((good, bad), [1, 2]), ((good, bad, apart), [1, 1, 1])):
        for board in make_measured_boards(results):
            found = [row.cells[0].rank for row in board.rows if row.cells[0] is not None]
            assert found == expected, board.measurement


def test_ranks_are_over_groups(measured: Measure) -> None:
    """Four hundred events of twenty recordings say no more than twenty do."""
    groups = torch.arange(EVENTS) // 20
    each = noise(4, 20)
    apart = (each - each.mean()) / each.std() * math.sqrt(20)  # a paired error of 1, over groups
    good = {"log_prob": noise(2)}
    bad = {"log_prob": noise(2) - 1.5 + apart[groups]}
    for given, expected in ((groups, [1, 1]), (None, [1, 2])):
        results = [
            measured("good", (Mean(), good), groups=given),
            measured("bad", (Mean(), bad), groups=given),
        ]
        (board,) = make_measured_boards(results)
        assert [row.cells[0].rank for row in board.rows if row.cells[0]] == expected


def test_every_result_is_resampled_once_however_many_pairs_there_are(
    measured: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five results make ten pairs; a number such as an AUROC takes its time."""
    dims = torch.ones(EVENTS, dtype=torch.float64)
    results = [measured(f"r{i}", (Ratio(), {"nats": i + noise(i), "dims": dims})) for i in range(5)]
    calls = []
    value_of = Ratio.value_of

    def counted(self: Ratio, values: Any, weights: Tensor) -> float:
        calls.append(1)
        return value_of(self, values, weights)

    monkeypatch.setattr(Ratio, "value_of", counted)
    (board,) = make_measured_boards(results)
    assert [row.cells[0].rank for row in board.rows if row.cells[0]] == [1, 2, 3, 4, 5]
    assert len(calls) < 5 * NUM_RESAMPLES + 100


def test_results_of_one_model_on_two_machines_stand_side_by_side(measured: Measure) -> None:
    values = {"log_prob": noise(2)}
    slower = {"log_prob": noise(2) - 1}
    here = measured("model", (Mean(), values))
    there = measured("model", (Mean(), slower), machine="Fast Card")
    other = measured("other", (Mean(), {"log_prob": noise(2) - 3}))
    (board,) = make_measured_boards([here, there, other])
    cpu = here.record.environment.cpu.replace("(R)", "")
    assert {column.machine for column in board.columns} == {cpu, "Fast Card"}
    model, alone = board.rows
    assert [cell is None for cell in alone.cells].count(True) == 1
    by_machine = {
        column.machine: cell.value
        for column, cell in zip(board.columns, model.cells, strict=True)
        if cell is not None
    }
    assert by_machine == pytest.approx(
        {cpu: noise(2).mean().item(), "Fast Card": noise(2).mean().item() - 1}
    )
    text = measured_boards_text([board], "table")
    assert "mean on Fast Card, nats" in text


def test_where_the_machine_makes_no_difference_all_are_ranked_together(
    measured: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is not reproducible, such as a speed, only those of one machine are."""
    results = [
        measured("good", (Mean(), {"log_prob": noise(2)})),
        measured("bad", (Mean(), {"log_prob": noise(2) - 1}), machine="Fast Card"),
    ]
    (board,) = make_measured_boards(results)
    assert [column.machine for column in board.columns] == [None]
    assert [row.cells[0].rank for row in board.rows if row.cells[0]] == [1, 2]
    assert "Fast Card" in measured_boards_text([board], "md")
    monkeypatch.setattr(Mean, "reproducible", False)
    (board,) = make_measured_boards(results)
    assert len(board.columns) == 2
    assert {cell.rank for row in board.rows for cell in row.cells if cell} == {1}


def test_settings_are_columns_and_versions_are_boards(
    measured: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"score": noise(2), "is_kind": (noise(3) > 0).double()}
    results = [
        measured("a", (Auroc(), values), (Auroc(against="noise"), values)),
        measured("b", (Auroc(against="noise"), values)),
    ]
    (board,) = make_measured_boards(results)
    keys = ["auroc", Auroc(against="noise").key]
    assert [column.key for column in board.columns] == keys
    (board,) = make_measured_boards(results, key="auroc?against=noise")
    assert [column.key for column in board.columns] == keys[1:]
    assert [cell.rank for row in board.rows for cell in row.cells if cell] == [1, 1]
    monkeypatch.setattr(Auroc, "version", "2")
    results.append(measured("c", (Auroc(against="noise"), values)))
    old, new = make_measured_boards(results, key="auroc")
    assert "(version 1)" in old.title
    assert "(version 2)" in new.title
    assert {cell.rank for row in old.rows for cell in row.cells if cell} == {None}
    assert "is of version 1, and version 2 is installed" in old.notes[0]


def test_baselines_stand_among_the_rows_without_a_rank(measured: Measure) -> None:
    row = RowRecord(case="the data alone", value=0.5, unit="nats", better="higher")
    result = measured("model", (Mean(), {"log_prob": noise(2)}), baselines=[row])
    again = measured("again", (Mean(), {"log_prob": noise(2) + 1}), baselines=[row])
    (board,) = make_measured_boards([result, again])
    assert [row.model for row in board.rows] == ["again", "the data alone", "model"]
    baseline = board.rows[1]
    assert baseline.status == "baseline"
    assert baseline.cells[0] is not None
    assert (baseline.cells[0].rank, baseline.cells[0].value) == (None, 0.5)


def test_seeds_of_a_recipe_are_one_row(measured: Measure) -> None:
    def results(recipe: str, shift: float) -> list[Result]:
        return [
            measured(
                recipe,
                (Mean(), {"log_prob": noise(2) + shift + 0.01 * seed}),
                recipe=recipe,
                seed=seed,
            )
            for seed in range(3)
        ]

    (board,) = make_measured_boards([*results("good", 0.0), *results("bad", -1.0)])
    assert [row.model for row in board.rows] == ["good", "bad"]
    cells = [row.cells[0] for row in board.rows]
    assert [(cell.rank, cell.num_seeds) for cell in cells if cell] == [(1, 3), (2, 3)]
    assert cells[0] is not None
    assert cells[0].value == pytest.approx(noise(2).mean().item() + 0.01)


def test_without_its_plugin_or_values_results_are_shown_and_not_ranked(
    measured: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [measured(name, (Mean(), {"log_prob": noise(2)})) for name in ("a", "b")]
    offer(monkeypatch, Cost)
    (board,) = make_measured_boards(results)
    assert {row.cells[0].rank for row in board.rows if row.cells[0]} == {None}
    assert "mean is not ranked: no measurement is called 'mean'" in board.notes[0]
    offer(monkeypatch, Mean)
    results.append(measured("c", (Mean(), {"log_prob": noise(2)}), num_values=0))
    (board,) = make_measured_boards(results)
    assert board.notes == (
        "mean is not ranked: it leaves no values of single events that could be paired",
    )


def test_every_format_says_unit_direction_error_and_machine(measured: Measure) -> None:
    results = [
        measured("good", (Mean(), {"log_prob": noise(2)}), machine="Fast Card"),
        measured("bad", (Mean(), {"log_prob": noise(2) - 1})),
    ]
    boards = make_measured_boards(results)
    (found,) = json.loads(measured_boards_text(boards, "json"))
    assert (found["measurement"], found["unit"], found["better"]) == ("mean", "nats", "higher")
    first = found["rows"][0]["cells"][0]
    assert first["machine"] == "Fast Card"
    assert first["error"] == pytest.approx(noise(2).std().item() / math.sqrt(EVENTS))
    rows = [*csv.DictReader(io.StringIO(measured_boards_text(boards, "csv")))]
    assert [(row["model"], row["rank"], row["better"]) for row in rows] == [
        ("good", "1", "higher"),
        ("bad", "2", "higher"),
    ]
    for form in ("table", "md"):
        text = measured_boards_text(boards, form)
        assert "nats (higher is better)" in text
        assert f"{noise(2).mean().item():.3f} ± {first['error']:.3f}" in text


def test_pages_have_a_section_for_each_measurement_after_the_likelihood(measured: Measure) -> None:
    """Without one, not a byte of them is another."""
    results = [
        measured("good", (Mean(), {"log_prob": noise(2)})),
        measured("bad", (Cost(), {"nats": noise(2)})),
    ]
    plain = [
        replace(r, record=r.record.model_copy(update={"measurements": _first_three(r.record)}))
        for r in results
    ]
    page, alone = (board_pages(each)["somewhere.md"] for each in (results, plain))
    likelihood = boards_text(make_boards(plain), "md").partition("\n\n")[2]
    assert likelihood in alone
    assert likelihood in page
    assert (
        page.index(likelihood) < page.index("## Somewhere: cost") < page.index("## Somewhere: mean")
    )
    assert "same column" in page
    assert "same column" not in alone
    boards, others = make_boards(plain), make_measured_boards(results)
    html = render_page(boards, others)
    section = html.index("mean, nats (higher is better)")
    assert html.index('<div class="board"') < section < html.index("</section>\n<footer")
    assert html.count("same column") == 1
    assert "same column" not in render_page(boards)
    assert render_page(boards) == render_page(boards, make_measured_boards(plain))
    assert boards_text(make_boards(results), "table") == boards_text(boards, "table")


def _first_three(record: Record) -> dict[str, Any]:
    known = ("likelihood", "speed", "truth")
    return {key: each for key, each in record.measurements.items() if key in known}
