"""What binds a run's files: what an edit would have changed, and what an older run gets."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forging import forge, in_format_1
from safetensors.torch import save_file

import arbench
from arbench.boards import results as results_module
from arbench.boards.boards import find_boards
from arbench.boards.results import keep_result, kept_records, read_runs, sort_results
from arbench.cli import main
from arbench.data.dataset import Dataset
from arbench.data.tasks import open_task
from arbench.errors import CheckpointError, DataError
from arbench.files.atomic import sha256_of
from arbench.files.tensors import load_tensors
from arbench.measure.likelihood import SplitRecord
from arbench.runs.record.plausibility import plausibility_fault
from arbench.runs.record.record import ChecksRecord, Record
from arbench.runs.trained_checks import Refused

Raw = dict[str, Any]


def setting(name: str, value: object) -> Callable[[Raw], None]:
    """A change of one hyper-parameter."""

    def change(config: Raw) -> None:
        assert config["hyperparameters"][name] != value
        config["hyperparameters"][name] = value

    return change


def other_order(config: Raw) -> None:
    """The order backwards."""
    config["members"][0]["layout"]["order"].reverse()


@pytest.mark.parametrize(
    ("task", "model", "settings", "change"),
    [
        ("toy-ar1", "rnade", {"activation": "sigmoid"}, setting("activation", "relu")),
        (
            "toy-markov",
            "fvsbn",
            {"alternative": "near", "kernel_grids": [1]},
            setting("kernel_range", 2.0),
        ),
        ("toy-markov", "nade", {"hidden": 8, "layout.order": "permuted"}, other_order),
        (
            "toy-markov",
            "made",
            {"alternative": "dropout", "hidden": 8, "mask_seed": 3},
            setting("mask_seed", 4),
        ),
        ("toy-markov", "gpt", {"num_layers": 1, "width": 8}, setting("num_heads", 1)),
    ],
    ids=["activation", "kernel_range", "order", "mask_seed", "num_heads"],
)
def test_a_configuration_that_fits_the_weights_is_not_believed_for_that(
    task: str, model: str, settings: dict[str, Any], change: Callable[[Raw], None], tmp_path: Path
) -> None:
    """Its shapes fit, and it would mean another distribution: only its hash tells."""
    settings = {"learning_rate": 0.02, "batch_size": 20, **settings}
    options: Any = {"settings": settings, "epochs": 2, "limit": 400, "device": "cpu"}
    run = arbench.run(task, model, out=tmp_path / "run", **options).path
    events = open_task(task).load("test").events[:50]
    before = arbench.load(run).log_prob(events)
    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))
    for use in (arbench.load, arbench.evaluate, arbench.verify):
        with pytest.raises(CheckpointError, match=r"config\.json: its sha256 is not the one"):
            use(run)
    after = arbench.load(forge(run)).log_prob(events)
    assert (after - before).abs().max() > 1e-3


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run on a synthetic task."""
    return arbench.run("toy-markov", "bernoulli", device="cpu", out=tmp_path / "runs" / "run").path


def test_log_probabilities_in_another_order_are_not_compared(run: Path, tmp_path: Path) -> None:
    """They have the sum and the spread of the true ones, and would pair other events."""
    twin = Path(shutil.copytree(run, tmp_path / "twin"))
    file = twin / "per_event.safetensors"
    save_file({"test": load_tensors(file)["likelihood:log_prob"].flip(0)}, file)
    with pytest.raises(DataError, match="their sha256 is another"):
        arbench.compare(run, twin)
    forge(twin)
    assert arbench.compare(run, twin).standard_error > 0  # of a run and itself


def better_than_the_truth(run: Path, *, truth: bool) -> Path:
    """A record that adds up, of log-probabilities that nobody can have; bound to its files."""
    record = Record.read(run / "record.json")
    task = open_task(record.task.name)
    test = Dataset(task).split("test")
    log_probs = task.true_log_prob(test.events) + 0.25
    save_file({"test": log_probs}, run / "per_event.safetensors")
    kind = record.splits["test"].kind
    split = SplitRecord.of(log_probs, test, task.spec.domain, kind)

    def change(raw: Raw) -> None:
        raw["measurements"]["likelihood"]["test"] = split.model_dump(mode="json")
        if not truth:
            del raw["measurements"]["truth"]

    return forge(run, change)


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize(("task", "model"), [("toy-ar1", "rnade"), ("toy-parity", "bernoulli")])
def test_what_is_better_than_the_truth_is_nowhere_believed(
    task: str, model: str, truth: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    for name in ("forged", "honest"):
        arbench.run(task, model, epochs=1, device="cpu", out=runs / name)
    forged = better_than_the_truth(runs / "forged", truth=truth)
    assert main(["leaderboard", task, "--runs", str(runs), "--format", "json"]) == 0
    said = capsys.readouterr()
    assert f"left out: {forged}: " in said.err
    assert "better than the true density" in said.err
    (board,) = json.loads(said.out)
    assert [row["status"] for row in board["rows"]].count("local") == 1
    for command in (
        ["push", str(forged), "--to", "org/name"],
        ["push", str(forged), "--board", "org/board"],
        ["compare", str(runs / "honest"), str(forged)],
    ):
        assert main(command) == 3
        assert "better than the true density" in capsys.readouterr().err


def test_a_probability_above_one_is_none(run: Path) -> None:
    record = Record.read(run / "record.json")
    log_probs = load_tensors(run / "per_event.safetensors")["likelihood:log_prob"]
    assert plausibility_fault(record, log_probs) is None
    log_probs[7] = 0.01
    assert "event 7 has log-probability 0.01" in (plausibility_fault(record, log_probs) or "")


def test_where_the_task_is_not_here_the_record_s_own_truth_counts(run: Path) -> None:
    record = Record.read(run / "record.json")
    assert record.truth is not None
    elsewhere = record.task.model_copy(update={"name": "toy-of-others"})
    log_probs = load_tensors(run / "per_event.safetensors")["likelihood:log_prob"]
    for gap, is_fine in ((0.1, True), (-0.1, False)):
        truth = record.truth.model_copy(
            update={"gap_nats_per_event": gap, "standard_error_nats": 0.02}
        )
        other = record.model_copy(update={"task": elsewhere}).with_sections(truth=truth)
        assert (plausibility_fault(other, log_probs) is None) == is_fine


def test_a_kept_result_that_was_edited_is_left_out_and_the_page_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = tmp_path / "records"
    shutil.copytree(kept_records() / "uci-nips", records / "uci-nips")
    monkeypatch.setattr(results_module, "kept_records", lambda: records)
    names = sorted(path.name for path in records.glob("*/*.json"))
    assert len(names) >= 3
    record = json.loads((records / "uci-nips" / names[0]).read_text())
    record["training"]["seconds"] /= 2
    (records / "uci-nips" / names[0]).write_text(json.dumps(record))
    file = records / "uci-nips" / names[1].replace(".json", ".safetensors")
    save_file({"test": load_tensors(file)["test"].flip(0)}, file)
    (board,), left_out = find_boards("uci-nips")
    assert board.num_results == len(names) - 2
    assert len(left_out) == 2
    assert [name in reason for name, reason in zip(names, left_out, strict=False)] == [True, False]
    assert file.name in left_out[1]


def test_an_older_run_is_used_and_says_that_it_is_not_bound(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_format_1(run)
    said = f"{run} is not bound: `arbench verify {run}` binds it"
    arbench.load(run)
    assert said in capsys.readouterr().err
    assert main(["evaluate", str(run), "--device", "cpu"]) == 0
    assert said in capsys.readouterr().err
    assert main(["show", str(run)]) == 0
    assert said in capsys.readouterr().out
    for arguments in (["--to", "org/name"], ["--board", "org/board"]):
        assert main(["push", str(run), *arguments]) == 3
        assert said in capsys.readouterr().err
    found, (reason,) = read_runs(run.parent)
    assert found == []
    assert said in reason


def test_verifying_an_older_run_binds_it_once(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = Record.read(run / "record.json").splits
    in_format_1(run)
    assert main(["verify", str(run), "--device", "cpu"]) == 0
    assert "bound: the record names the files it belongs to" in capsys.readouterr().out
    record = Record.read(run / "record.json")
    assert record.is_bound
    assert record.splits["test"] == numbers["test"]
    assert record.checks is not None  # of the trained model, which an older arbench did not make
    assert record.checks.causality is not None
    assert record.sha256.model_dump(exclude={"record"}) == {
        "config": sha256_of(run / "config.json"),
        "weights": sha256_of(run / "model.safetensors"),
        "metrics": sha256_of(run / "metrics.jsonl"),
        "per_event": sha256_of(run / "per_event.safetensors"),
    }
    assert [result.status for result in read_runs(run.parent)[0]] == ["local"]
    before = (run / "record.json").read_bytes()
    assert main(["verify", str(run), "--device", "cpu"]) == 0
    assert "bound" not in capsys.readouterr().out
    assert (run / "record.json").read_bytes() == before


def test_what_does_not_hold_is_not_bound(run: Path) -> None:
    file = run / "per_event.safetensors"
    save_file({"test": load_tensors(file)["likelihood:log_prob"].flip(0)}, file)
    before = (in_format_1(run) / "record.json").read_bytes()
    assert main(["verify", str(run), "--device", "cpu"]) == 1
    assert (run / "record.json").read_bytes() == before


def test_a_trained_model_that_fails_its_checks_is_not_bound(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> ChecksRecord:
        raise Refused("its parameters know the value that they are of", ChecksRecord())

    monkeypatch.setattr("arbench.runs.verification.check_trained", fail)
    before = (in_format_1(run) / "record.json").read_bytes()
    assert main(["verify", str(run), "--device", "cpu"]) == 5
    assert "know the value" in capsys.readouterr().err
    assert (run / "record.json").read_bytes() == before


def test_where_nothing_can_be_written_verify_says_so_and_holds(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (in_format_1(run) / "record.json").read_bytes()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert main(["verify", str(run), "--device", "cpu"]) == 0
    assert f"not bound: you may not write in {run}" in capsys.readouterr().out
    assert (run / "record.json").read_bytes() == before


def test_a_run_that_is_shown_says_what_was_edited(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(run)]) == 0
    assert "bound" not in capsys.readouterr().out
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"seed": 5}))
    assert main(["show", str(run)]) == 3
    said = capsys.readouterr()
    assert (said.out, "config.json: its sha256" in said.err) == ("", True)
    assert main(["show", str(run), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["run"]["schema_version"] == 3
    assert "config.json: its sha256" in said.err


def test_all_that_is_kept_is_bound_and_what_the_zoo_has_to_its_configuration() -> None:
    results, left_out = sort_results(kept_records())
    assert left_out == []
    assert all(result.record.is_bound for result in results)
    for result in results:
        assert result.folder is None or result.record.sha256.config is not None


def test_a_kept_copy_is_bound_as_its_run_is(run: Path, tmp_path: Path) -> None:
    kept = keep_result(run, tmp_path / "records")
    assert Record.read(kept) == Record.read(run / "record.json")
    assert torch.equal(
        load_tensors(kept.with_suffix(".safetensors"))["likelihood:log_prob"],
        load_tensors(run / "per_event.safetensors")["likelihood:log_prob"],
    )
