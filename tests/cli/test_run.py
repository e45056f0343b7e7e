"""run: what may stand beside --resume and --queue, which bring settings of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbench.cli import main

# Each with a value that the option has when it is not given, where it has one.
SETTINGS = {
    "--model": ["made"],
    "--set": ["hidden=8"],
    "--budget": ["9s"],
    "--epochs": ["1"],
    "--seed": ["0"],
    "--precision": ["float32"],
    "--compile": [],
    "--limit": ["9"],
}


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The only line that a refused command prints."""
    assert main(["run", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    path = tmp_path / "queue.toml"
    path.write_text('[[run]]\ntask = "toy-markov"\nmodel = "bernoulli"\n')
    return path


@pytest.mark.parametrize("option", [*SETTINGS, "--out"])
def test_a_resumed_run_takes_no_other_settings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    given = [option, *SETTINGS.get(option, [str(tmp_path)])]
    line = error_of(["--resume", str(tmp_path), "--device", "cpu", *given], capsys)
    assert "--resume continues with the run's own settings" in line
    assert f"of your own, not {option}." in line


@pytest.mark.parametrize("option", [*SETTINGS, "--task", "--resume", "--push", "--json"])
def test_a_queue_takes_no_other_settings(
    capsys: pytest.CaptureFixture[str], queue: Path, option: str
) -> None:
    values = {"--task": ["toy-ising"], "--resume": ["runs"], "--push": ["org"], "--json": []}
    given = [option, *{**SETTINGS, **values}[option]]
    line = error_of(["--queue", str(queue), "--device", "cpu", *given], capsys)
    assert f"--queue says itself what to run: give only --device and --out, not {option}." in line


def test_all_that_is_too_much_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    line = error_of(["--resume", "x", "--compile", "--seed", "3", "--precision=bfloat16"], capsys)
    assert "not --seed, --precision, --compile." in line


def test_what_says_nothing_of_the_training_may_stand_beside(queue: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    assert main(["run", "--queue", str(queue), "--device", "cpu", "--out", str(out)]) == 0
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    beside = ["--device", "cpu", "--task", "toy-markov", "--json"]
    assert main(["run", "--resume", str(folder), *beside]) == 0
