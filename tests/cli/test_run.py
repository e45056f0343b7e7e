"""run, resume and queue: what they take, and what `run` took before there were the other two."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from arbench.cli import main

QUEUE = '[[run]]\ntask = "toy-markov"\nmodel = "bernoulli"\n'
SETTINGS = ("--model", "--set", "--budget", "--epochs", "--seed", "--precision", "--limit", "--out")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("run") / "a"
    given = ["--task", "toy-markov", "--model", "bernoulli", "--limit", "50", "--device", "cpu"]
    assert main(["run", *given, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("option", [*SETTINGS, "--queue", "--resume"])
@pytest.mark.parametrize("verb", [["resume", "RUN"], ["run", "--resume", "RUN"]], ids=" ".join)
def test_a_resumed_run_takes_no_other_settings(
    capsys: pytest.CaptureFixture[str], trained: Path, verb: list[str], option: str
) -> None:
    assert main([*verb[:-1], str(trained), option, "3"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"No such option '{option}'" in line
    assert line.endswith("See `arbench resume --help`")


@pytest.mark.parametrize("verb", [["resume"], ["run", "--resume"]], ids=" ".join)
def test_what_says_nothing_of_the_training_may_stand_beside(
    capsys: pytest.CaptureFixture[str], trained: Path, verb: list[str]
) -> None:
    assert main([*verb, str(trained), "--device", "cpu", "--task", "toy-markov", "--json"]) == 0
    record = json.loads((trained / "record.json").read_text())
    assert json.loads(capsys.readouterr().out) == record


@pytest.mark.parametrize("given", [["--resume", "RUN"], ["--resume=RUN"]], ids=" ".join)
@pytest.mark.parametrize("before", [[], ["--device", "cpu"]], ids=" ".join)
def test_the_option_resume_is_the_verb_and_says_so(
    capsys: pytest.CaptureFixture[str],
    trained: Path,
    tmp_path: Path,
    before: list[str],
    given: list[str],
) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "-a"))  # begins as an option does
    (folder / "record.json").unlink()  # as if it had been killed at its end
    assert main(["run", *before, *[word.replace("RUN", str(folder)) for word in given]]) == 0
    note, *_ = capsys.readouterr().err.splitlines()
    assert note == "arbench: note: `arbench run --resume RUN` is now `arbench resume RUN`"
    assert (folder / "record.json").exists()


def test_the_option_queue_is_the_verb_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "queue.toml").write_text(QUEUE)
    out = tmp_path / "runs"
    given = [f"--queue={tmp_path / 'queue.toml'}", "--device", "cpu", "--out", str(out)]
    assert main(["run", *given]) == 0
    note, *_ = capsys.readouterr().err.splitlines()
    assert note == "arbench: note: `arbench run --queue FILE` is now `arbench queue FILE`"
    assert (out / "toy-markov-bernoulli" / "record.json").exists()


def test_a_verb_says_nothing_of_options(capsys: pytest.CaptureFixture[str], trained: Path) -> None:
    assert main(["resume", str(trained)]) == 0
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--resume", "--queue"])
def test_an_old_option_without_its_value_is_a_verb_without_its_argument(
    capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert main(["run", option]) == 2
    assert "Missing argument" in capsys.readouterr().err


def test_the_help_of_run_shows_no_option_that_is_a_verb(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--resume" not in said
    assert "--queue" not in said
    assert "`arbench resume`" in said
