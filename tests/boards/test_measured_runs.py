"""Runs with any measurement, on boards: kept with their values, verified, and shown by the verb."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from answering import add_result, offer
from asked import Auroc, Cost, Mean, Ratio
from making import KEPT, noise

import arbench
from arbench.boards.board_text import boards_text
from arbench.boards.boards import find_boards, make_boards
from arbench.boards.measured_boards import make_measured_boards
from arbench.boards.results import join_runs, keep_result, keep_verification, read_results
from arbench.boards.speeds import SpeedReport
from arbench.cli import main
from arbench.errors import DataError
from arbench.measure.per_event import load_per_event
from arbench.measure.speed import SpeedSection
from arbench.runs.measuring import measure_run
from arbench.runs.record.record import Record
from arbench.runs.zoo import zoo_folder
from arbench.show.reporting import Reporter


@pytest.fixture(autouse=True)
def _measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Mean, Cost, Ratio, Auroc)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with values of a measurement, which may stand on a board."""
    run = tmp_path / "runs" / "run"
    shutil.copytree(zoo_folder() / "mnist-mini" / "nade", run)
    return add_result(run, Mean(), {"log_prob": noise(5, 1000)})


def test_a_kept_result_has_the_values_of_all_measurements(run: Path, tmp_path: Path) -> None:
    records = tmp_path / "records"
    keep_result(run, records)
    (result,) = read_results(records)
    kept = load_per_event(result.log_probs)
    assert {*kept} == {"likelihood", "mean"}
    assert torch.equal(kept["mean"].values["log_prob"], noise(5, 1000))
    (board,) = make_measured_boards([result])
    assert [row.model for row in board.rows] == ["nade"]


def test_a_number_is_verified_if_it_was_found_again(run: Path, tmp_path: Path) -> None:
    """A verified run says nothing of what was not judged, such as what is never the same."""
    measure_run(run, [Cost()], device="cpu", reporter=Reporter())
    add_result(run, Auroc(), {"score": noise(5, 1000), "is_kind": (noise(6, 1000) > 0).double()})
    record = Record.read(run / "record.json")
    kept = {key: each for key, each in record.measurements.items() if key != "mean"}
    record.model_copy(update={"measurements": kept}).write(run / "record.json")
    records = tmp_path / "records"
    keep_result(run, records)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Auroc, "reproducible", False)
        keep_verification(run, records, device="cpu")
    (result,) = read_results(records)
    assert result.status == "verified"
    status = {b.measurement: b.rows[0].status for b in make_measured_boards([result])}
    assert status == {"cost": "verified", "auroc": "self-reported"}


def test_a_result_that_is_not_made_of_its_values_is_not_kept(run: Path, tmp_path: Path) -> None:
    record = Record.read(run / "record.json")
    section = record.measurements["mean"]
    better = section.model_copy(
        update={"rows": [section.rows[0].model_copy(update={"value": 9.0})]}
    )  # type: ignore[attr-defined]
    record.with_sections(mean=better).write(run / "record.json")
    with pytest.raises(DataError, match="its number is 9, and its values make"):
        keep_result(run, tmp_path / "records")
    _, left_out = find_boards("mnist-mini", runs=run.parent)
    assert any("its number is 9" in each for each in left_out)


def test_the_verb_shows_one_measurement(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--runs", str(run.parent)]
    assert main(["leaderboard", "mnist-mini", "--measurement", "mean", *own]) == 0
    text = capsys.readouterr().out
    assert "mnist-mini: mean, nats (higher is better)" in text
    assert "Holm" in text
    assert main(["leaderboard", "mnist-mini", "--measurement", "meen", *own]) == 2
    error = capsys.readouterr().err
    assert "no result of meen on mnist-mini: did you mean mean?" in error
    assert main(["leaderboard", "--measurement", "speed"]) == 2
    assert "speed has columns on the board of the likelihood" in capsys.readouterr().err
    frame = arbench.leaderboard("mnist-mini", runs=run.parent, measurement="mean")
    assert [*frame["model"]] == ["nade"]
    assert main(["leaderboard", "mnist-mini", *own, "--html", str(run.parent / "page")]) == 0
    page = (run.parent / "page" / "index.html").read_text()
    assert "mean, nats (higher is better)" in page


def test_speeds_of_one_result_on_two_machines_are_columns_of_its_row() -> None:
    """Those of a GPU are in the record with their own environment, or in that of a copy."""
    kept = next(r for r in KEPT if r.record.task.name == "mnist-mini")
    (own,) = SpeedReport.of_record(kept.record)
    gpu = own.environment.model_copy(update={"gpu": "Fast Card"})
    rows = [row.model_copy(update={"device": "cuda", "events_per_s": 1e6}) for row in own.sampling]
    section = SpeedSection(version="1", settings={"device": "cuda"}, environment=gpu, rows=rows)
    record = kept.record.with_sections(**{"speed?device=cuda": section})
    both = replace(kept, record=record, speeds=SpeedReport.of_record(record))
    (board,) = make_boards([both])
    assert {(s.device, s.machine) for row in board.rows for s in row.speeds} == {
        ("cpu", own.machine),
        ("cuda", "Fast Card"),
    }
    header = boards_text([board], "table").splitlines()[2]
    assert "samples/s, cpu" in header
    assert "samples/s, cuda" in header
    (joined,) = join_runs([kept], [replace(both, status="local")])
    assert {report.machine for report in joined.speeds} == {own.machine, "Fast Card"}
    assert joined.status == kept.status
    (same,) = join_runs([kept], [replace(kept, status="local")])
    assert same == kept
