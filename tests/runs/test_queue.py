"""The training queue: what is finished is skipped, what is begun is continued."""

from __future__ import annotations

from pathlib import Path

import pytest

import arbench
from arbench.boards.results import read_results
from arbench.cli import main
from arbench.errors import ConfigError, RunError
from arbench.registry.manager import registry
from arbench.runs.queue import read_queue
from arbench.show.reporting import Reporter

TWO_RUNS = """
[[run]]
task = "toy-markov"
model = "bernoulli"

[[run]]
task = "toy-markov"
model = "fvsbn"
epochs = 1
precision = "bfloat16"
limit = 700
name = "second"
settings = { alternative = "free", "training.batch_size" = 500 }
"""


class Listener(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_queue_is_made_once_and_then_skipped(tmp_path: Path) -> None:
    queue, out = write(tmp_path / "queue.toml", TWO_RUNS), tmp_path / "runs"
    first = arbench.run_queue(queue, out=out, device="cpu")
    assert [run.path.name for run in first] == ["toy-markov-bernoulli", "second"]
    assert first[1].record.training.settings["training"]["batch_size"] == 500
    assert [run.record.training.precision for run in first] == ["float32", "bfloat16"]
    assert [run.record.training.limit for run in first] == [None, 700]
    (out / "toy-markov-bernoulli" / "record.json").unlink()  # as if killed before its end
    before = (out / "second" / "record.json").stat().st_mtime_ns
    listener = Listener()
    second = arbench.run_queue(queue, out=out, device="cpu", reporter=listener)
    assert [r.record.splits for r in second] == [r.record.splits for r in first]
    assert (out / "second" / "record.json").stat().st_mtime_ns == before
    assert any("second is finished" in line for line in listener.lines)
    assert f"queue   2 of 2: {out / 'second'}" in listener.lines


def test_a_failing_run_does_not_stop_the_others(tmp_path: Path) -> None:
    missing = '[[run]]\ntask = "table:nowhere.csv"\nmodel = "fvsbn"\nname = "gone"\n'
    queue = write(tmp_path / "queue.toml", missing + TWO_RUNS)
    with pytest.raises(RunError, match="1 of 3 runs failed: gone"):
        arbench.run_queue(queue, out=tmp_path / "runs", device="cpu")
    assert (tmp_path / "runs" / "second" / "record.json").exists()


def test_a_budget_in_seconds_may_be_a_number(tmp_path: Path) -> None:
    text = '[[run]]\ntask = "toy-markov"\nmodel = "fvsbn"\nbudget = 90\n'
    (item,) = read_queue(write(tmp_path / "queue.toml", text))
    assert item.budget == "90"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[run]", "not valid TOML"),
        ("", "run is missing"),
        (TWO_RUNS + '[[run]]\ntask = "mnist"\nmodel = "made"\nname = "second"', "called 'second'"),
        ('[[run]]\ntask = "mnist"\nmodel = "made"\nepoch = 3', "no setting called 'run.0.epoch'"),
    ],
)
def test_what_is_no_queue_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_queue(write(tmp_path / "queue.toml", text))
    with pytest.raises(ConfigError, match="No such file"):
        read_queue(tmp_path / "nowhere.toml")


def test_the_command_line_makes_a_queue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue = write(tmp_path / "queue.toml", TWO_RUNS)
    arguments = ["queue", str(queue), "--out", str(tmp_path / "runs"), "--device", "cpu"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "bernoulli on toy-markov" in printed
    assert "fvsbn on toy-markov" in printed
    assert main([*arguments, "--epochs", "3"]) == 2
    assert "No such option '--epochs'" in capsys.readouterr().err


def test_a_place_for_a_queue_is_looked_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = write(tmp_path / "queue.toml", TWO_RUNS)
    assert main(["queue", str(queue), "--out", str(queue), "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{queue}: is no folder" in line


def test_the_queue_names_every_kept_result_and_nothing_unknown() -> None:
    root = Path(__file__).parents[2] / "leaderboards"
    queued = {(run.task, run.model) for run in read_queue(root / "queue.toml")}
    assert queued >= {
        (r.record.task.name, r.record.model.name) for r in read_results(root / "records")
    }
    assert {task for task, _ in queued} <= set(registry().tasks)
    assert {model for _, model in queued} <= set(registry().models)
