"""Kept results: every record holds together, and every table is what the records say."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from forging import forge
from making import BASE, UNTIMED
from making import KEPT as RESULTS
from safetensors.torch import save_file
from torch import Tensor

import arbench
from arbench.boards.results import (
    fill_section,
    keep_result,
    keep_verification,
    read_results,
    read_runs,
    results_table,
    sort_results,
)
from arbench.errors import ConfigError, DataError
from arbench.files.atomic import sha256_of
from arbench.files.canonical import sealed
from arbench.files.tensors import load_tensors
from arbench.probability.bits import in_bits
from arbench.runs.comparison import compare_runs
from arbench.runs.record.record import Record
from arbench.runs.record.values import read_log_probs, recorded_nll

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "leaderboards" / "records"
KEPT = sorted(RECORDS.glob("*/*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_record_follows_from_its_log_probabilities(path: Path) -> None:
    record = Record.read(path)
    log_probs = read_log_probs(record, path.with_suffix(".safetensors")).values
    assert record.sha256.weights is not None
    name = f"{record.model.name}-{record.sha256.weights[:8]}"
    assert (path.parent.name, path.stem) == (record.task.name, name)
    test = record.splits["test"]
    again = recorded_nll(record, read_log_probs(record, path.with_suffix(".safetensors")))
    assert log_probs.dtype == torch.float64
    assert test.total_nats == pytest.approx(again.total_nats, rel=1e-12)
    assert test.num_events == len(log_probs)
    assert test.num_dims <= record.task.num_dims * len(log_probs)
    # Real numbers without bins have a density, and no bits.
    bits = None if test.kind == "density" else in_bits(test.total_nats / test.num_dims)
    assert test.bits_per_dim == (bits if bits is None else pytest.approx(bits, rel=1e-12))
    assert test.standard_error_nats == pytest.approx(again.standard_error_nats, rel=1e-9)
    assert test.num_groups == again.num_groups
    assert record.training.status == "finished"
    assert record.training.limit is None


def test_records_of_a_task_are_of_the_same_data() -> None:
    by_task: dict[str, set[str]] = {}
    for result in read_results(RECORDS):
        task = result.record.task
        by_task.setdefault(task.name, set()).add(task.data_sha256)
    assert by_task
    assert all(len(hashes) == 1 for hashes in by_task.values())


def test_the_tables_are_up_to_date() -> None:
    location = importlib.util.spec_from_file_location("keep", ROOT / "scripts" / "keep_results.py")
    assert location is not None
    assert location.loader is not None
    script = importlib.util.module_from_spec(location)
    location.loader.exec_module(script)
    for page, text in script.pages().items():
        found = page.read_text() if page.exists() else ""
        assert found == text, f"{page}: run python scripts/keep_results.py"


def test_only_the_part_between_the_marks_changes() -> None:
    page = "a\n<!-- results -->\nold\n<!-- /results -->\nb\n"
    filled = fill_section(page, "new")
    assert filled == "a\n<!-- results -->\n\nnew\n\n<!-- /results -->\nb\n"
    assert fill_section(filled, "new") == filled
    assert fill_section("no marks", "new") == "no marks"


def test_a_result_is_a_row_with_its_fastest_sampler() -> None:
    fast = UNTIMED.model_copy(update={"method": "whole", "batch_size": 64, "events_per_s": 5203.25})
    parts = {"model": BASE.model.model_copy(update={"num_parameters": None})}
    result = next(r for r in RESULTS if r.record.result_sha256 == BASE.result_sha256)
    shown = []
    for rows in ([UNTIMED, fast], []):
        speed = BASE.measurements["speed"].model_copy(update={"rows": rows})
        timed = BASE.model_copy(update=parts).with_sections(speed=speed)
        line = results_table([replace(result, record=timed)]).splitlines()[2]
        shown.append([cell.strip() for cell in line.strip("|").split("|")])
    assert shown[0][:2] == ["mnist", "nade"]
    assert [row[-1] for row in shown] == ["5,203 (whole, batch 64)", "-"]
    assert shown[0][-3] == "-"
    (line,) = [x for x in results_table([result]).splitlines() if x.startswith("| mnist")]
    assert "785,284" in line


def test_a_number_from_a_part_of_the_data_is_not_kept(tmp_path: Path) -> None:
    run = arbench.run("toy-markov", "bernoulli", limit=100, device="cpu", out=tmp_path / "run")
    with pytest.raises(ConfigError, match="whole data"):
        keep_result(run.path, tmp_path / "records")
    assert not (tmp_path / "records").exists()


def test_a_result_is_verified_by_its_weights_and_by_nothing_else(tmp_path: Path) -> None:
    run = arbench.run("toy-markov", "bernoulli", epochs=1, device="cpu", out=tmp_path / "run")
    records = tmp_path / "records"
    kept = keep_result(run.path, records)
    assert [result.status for result in read_results(records)] == ["self-reported"]
    keep_verification(run.path, records)
    assert [result.status for result in read_results(records)] == ["verified"]

    for scale in (0.99, 1.0):
        scaled(run.record, scale, dims=2).write(kept)
        found, left_out = sort_results(records)
        assert [result.status for result in found] == (["self-reported"] if scale == 1 else [])
        assert ["they sum to" in reason for reason in left_out] == ([True] if scale < 1 else [])
        with pytest.raises(ConfigError, match="another record of these weights is kept"):
            keep_verification(run.path, records)


def test_a_record_with_a_field_less_is_verified_too(tmp_path: Path) -> None:
    """An earlier version may have written it, so keeping it seals it anew."""
    run = arbench.run("toy-markov", "bernoulli", epochs=1, device="cpu", out=tmp_path / "run")
    document = json.loads((run.path / "record.json").read_text())
    assert document["checks"].pop("inverse", "missing") is None
    (run.path / "record.json").write_text(json.dumps(sealed(document)))
    records = tmp_path / "records"
    keep_result(run.path, records)
    keep_verification(run.path, records)
    assert [result.status for result in read_results(records)] == ["verified"]


def scaled(record: Record, nats: float, dims: int = 1) -> Record:
    """The record with so many times the test nats in so many times the dims; it adds up."""
    raw = record.model_dump()
    test = raw["measurements"]["likelihood"]["test"]
    raw["task"]["num_dims"] *= dims
    raw["measurements"]["likelihood"]["validation"] = None
    test["num_dims"] *= dims
    for name in ("total_nats", "nats_per_event", "standard_error_nats"):
        test[name] *= nats
    for name in ("bits_per_dim", "standard_error_bits_per_dim"):
        test[name] *= nats / dims
    return Record.model_validate(raw)


def test_other_log_probabilities_than_those_verified_are_not_verified(tmp_path: Path) -> None:
    run = arbench.run("toy-markov", "bernoulli", epochs=1, device="cpu", out=tmp_path / "run")
    records = tmp_path / "records"
    kept = keep_result(run.path, records).with_suffix(".safetensors")
    keep_verification(run.path, records)
    save_file({"test": load_tensors(kept)["likelihood:log_prob"].flip(0)}, kept)
    found, (reason,) = sort_results(records)
    assert found == []
    assert f"{kept}: these log-probabilities are not the record's: their sha256 is" in reason
    record = Record.read(kept.with_suffix(".json"))
    hashes = record.sha256.model_copy(update={"per_event": sha256_of(kept)})
    record.model_copy(update={"sha256": hashes}).write(kept.with_suffix(".json"))
    # Whoever hashes them again has a result again, and it is not the one that was verified.
    assert [result.status for result in read_results(records)] == ["self-reported"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda log_probs: log_probs + 50, "they sum to"),
        (lambda log_probs: log_probs.mean().expand(4000).clone(), "their standard error is 0.0,"),
        (lambda log_probs: log_probs[:-1], "expected 4,000 of them"),
        (lambda log_probs: log_probs.long(), "test holds torch.int64"),
    ],
)
def test_log_probabilities_of_something_else_are_refused_everywhere(
    tmp_path: Path, change: Callable[[Tensor], Tensor], message: str
) -> None:
    """On a board of one's own they are left out with the reason, and the others stay."""
    runs = [
        arbench.run(task, "bernoulli", epochs=1, device="cpu", out=tmp_path / task).path
        for task in ("toy-markov", "toy-parity")
    ]
    file = runs[0] / "per_event.safetensors"
    save_file({"test": change(load_tensors(file)["likelihood:log_prob"])}, file)
    with pytest.raises(DataError, match="their sha256 is another|expected "):
        compare_runs(runs[0], runs[0])
    forge(runs[0])
    with pytest.raises(DataError, match=message):
        keep_result(runs[0], tmp_path / "records")
    with pytest.raises(DataError, match=message):
        compare_runs(runs[0], runs[0])
    found, left_out = read_runs(tmp_path)
    assert [result.record.task.name for result in found] == ["toy-parity"]
    assert len(left_out) == 1
    assert message in left_out[0]


def test_a_record_whose_name_is_a_path_is_no_record(tmp_path: Path) -> None:
    run = arbench.run("toy-markov", "bernoulli", epochs=1, device="cpu", out=tmp_path / "run")
    record = json.loads((run.path / "record.json").read_text())
    record["task"]["name"] = "../../etc"
    (run.path / "record.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="task.name"):
        keep_result(run.path, tmp_path / "records")


def test_a_record_that_does_not_add_up_is_not_kept(tmp_path: Path) -> None:
    run = arbench.run("toy-markov", "bernoulli", epochs=1, device="cpu", out=tmp_path / "run")
    record = json.loads((run.path / "record.json").read_text())
    record["measurements"]["likelihood"]["test"]["bits_per_dim"] = 0.0123
    (run.path / "record.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="bits_per_dim is not total_nats over num_dims in bits"):
        keep_result(run.path, tmp_path / "records")
    found, (reason,) = read_runs(tmp_path)
    assert found == []
    assert "bits_per_dim is not" in reason


def test_a_record_of_more_dims_than_the_data_have_is_not_verified(tmp_path: Path) -> None:
    """Its log-probabilities are its own, and so are its nats; its bits per dim are a tenth."""
    run = arbench.run("toy-markov", "bernoulli", epochs=1, device="cpu", out=tmp_path / "run")
    scaled(run.record, 1.0, dims=10).write(run.path / "record.json")
    keep_result(run.path, tmp_path / "records")
    note = json.loads(keep_verification(run.path, tmp_path / "records").read_text())
    assert (note["holds"], note["difference_nats"]) == (False, 0.0)
    assert [r.status for r in read_results(tmp_path / "records")] == ["self-reported"]


def test_a_number_that_its_weights_do_not_give_is_not_verified(tmp_path: Path) -> None:
    run = arbench.run("toy-markov", "bernoulli", epochs=1, device="cpu", out=tmp_path / "run")
    file = run.path / "per_event.safetensors"
    save_file(
        {"test": load_tensors(file)["likelihood:log_prob"].flip(0)}, file
    )  # of the same sum and spread
    forge(run.path)
    keep_result(run.path, tmp_path / "records")
    note = keep_verification(run.path, tmp_path / "records")
    assert json.loads(note.read_text())["holds"] is False
    assert [r.status for r in read_results(tmp_path / "records")] == ["self-reported"]
