"""evaluate_test = false: a run that no number of the test split has come out of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import arbench
from arbench.cli import main
from arbench.data.tasks import Split, open_task
from arbench.measure.likelihood import evaluate_log_probs
from arbench.runs.record.record import Record

TASK, MODEL = "toy-markov", "bernoulli"


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unseen"
    arguments = ["--task", TASK, "--model", MODEL, "--no-test", "--device", "cpu"]
    assert main(["run", *arguments, "--out", str(folder)]) == 0
    return folder


def test_the_test_split_is_never_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = open_task(TASK).load("test").events
    seen: list[Split] = []

    def watched(density: object, split: Split, **options: object) -> object:
        seen.append(split)
        return evaluate_log_probs(density, split, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("arbench.measure.asking.evaluate_log_probs", watched)
    settings = {"evaluate_test": False}
    run = arbench.run(TASK, MODEL, settings=settings, device="cpu", out=tmp_path / "a")
    assert seen
    assert not any(split.events.equal(test) for split in seen)
    assert run.record.splits.keys() == {"validation"}
    arbench.run(TASK, MODEL, device="cpu", out=tmp_path / "b")
    assert any(split.events.equal(test) for split in seen)  # the watch can see it


def test_all_else_is_as_with_a_test_number(unseen: Path, tmp_path: Path) -> None:
    with_test = arbench.run(TASK, MODEL, device="cpu", out=tmp_path / "run")
    record = Record.read(unseen / "record.json")
    assert record.status == "finished"
    assert record.truth is None
    assert record.splits["validation"] == with_test.record.splits["validation"]
    weights = [folder / "model.safetensors" for folder in (unseen, with_test.path)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_record_table_and_card_say_that_there_is_no_test_number(
    unseen: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((unseen / "record.json").read_text())
    assert record["training"]["settings"]["training"]["evaluate_test"] is False
    assert not (unseen / "per_event.safetensors").exists()
    assert main(["show", str(unseen)]) == 0
    shown = capsys.readouterr().out
    card = (unseen / "README.md").read_text().replace("\\_", "_")  # as Markdown shows it
    for text in (shown, card):
        assert "evaluate_test = false" in text
    assert "model-index" not in card


@pytest.mark.parametrize("verb", ["verify", "compare", "push"])
def test_who_needs_a_test_number_says_why_there_is_none(
    unseen: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    arguments = {
        "verify": [str(unseen)],
        "compare": [str(unseen), str(unseen)],
        "push": [str(unseen), "--to", "org/name"],
    }
    assert main([verb, *arguments[verb]]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "evaluate_test = false" in line


def test_it_is_on_no_board_and_named(unseen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", TASK, "--runs", str(unseen.parent)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"there is no result on {TASK} yet (left out: {unseen}: its record has no test" in line


def test_a_queue_may_ask_for_it_run_by_run(tmp_path: Path) -> None:
    queue = tmp_path / "queue.toml"
    one = f'[[run]]\ntask = "{TASK}"\nmodel = "{MODEL}"\n'
    queue.write_text(f'{one}name = "trial"\nevaluate_test = false\n{one}name = "final"\n')
    trial, final = arbench.run_queue(queue, out=tmp_path / "runs", device="cpu")
    assert trial.record.splits.keys() == {"validation"}
    assert final.record.splits.keys() == {"validation", "test"}


def test_such_a_run_is_evaluated_on_validation_unless_somebody_says_test(
    unseen: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(unseen), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("validation: ")
    found = arbench.evaluate(unseen, device="cpu")
    assert found == Record.read(unseen / "record.json").splits["validation"]
    assert main(["evaluate", str(unseen), "--split", "test", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("test: ")
