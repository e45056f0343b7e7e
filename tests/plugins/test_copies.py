"""A measurement that a third party made: one small plugin, installed, and right."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asked import Biased, Text, Words
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from arbench import Discrete, EventSpec, Real, Split, SplitName, Task
from arbench.data.dataset import Dataset
from arbench.measure.asking import Measuring
from arbench.measure.measurement import Measured, Measurement
from arbench.show.wording import measured_text

Shell = Callable[..., subprocess.CompletedProcess[str]]
SOURCE = Path(__file__).parents[2] / "plugins" / "examples" / "arbench-copies"
KEY = "copies?num_samples=300"


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Measurement]:
    """The class, from its sources."""
    monkeypatch.syspath_prepend(SOURCE)
    from arbench_copies.copies import Copies

    return Copies


class Pictures(Task):
    """Images of 2x3 pixels of three levels: 20 in train, half of the 10 in test among them."""

    name = "pictures"
    version = "1"
    spec = EventSpec((1, 2, 3), Discrete(3))

    def load(self, split: SplitName) -> Split:
        first, last = {"train": (0, 20), "validation": (20, 30), "test": (15, 25)}[split]
        numbers = torch.arange(first, last)
        digits = torch.stack([numbers // 3**place % 3 for place in range(6)], 1)
        return Split(digits.to(torch.uint8).view(-1, *self.spec.shape))


class Words3(Task):
    """Words of up to 3 letters, 1 or 2, and then 0, their end; what follows it is not scored."""

    name = "words3"
    version = "1"
    spec = EventSpec((4,), Discrete(3))

    def load(self, split: SplitName) -> Split:
        words = [[1, 0, 0, 0], [2, 1, 0, 0]] if split == "train" else [[1, 0, 0, 0], [1, 1, 0, 0]]
        events = torch.tensor(words, dtype=torch.uint8)
        scored = torch.arange(4) <= (events == 0).long().argmax(1)[:, None]
        return Split(events, scored)


class Parrot(Biased):
    """Draws these events, over and over."""

    def __init__(self, events: Tensor) -> None:
        super().__init__()
        self.events, self.drawn = events.long(), 0

    def sample(self, num_events: int, *, generator: Any = None, **more: Any) -> Tensor:
        numbers = (self.drawn + torch.arange(num_events)) % len(self.events)
        self.drawn += num_events
        return self.events[numbers]


def measuring(density: Any, task: Task, folder: Path = Path()) -> Measuring:
    return Measuring(density, Dataset(task), subject="it", seed=0, folder=folder, cache=None)


def answer(measurement: Measurement, density: Any, task: Task, folder: Path) -> Measured:
    asked = measuring(density, task, folder)
    assert asked.refusal(measurement) is None
    return asked.ask(measurement)[1]


def test_it_is_small_and_no_part_of_arbench() -> None:
    lines = [line for file in SOURCE.rglob("*.py") for line in file.read_text().splitlines()]
    assert 60 < len(lines) < 120


def test_the_number_is_the_share_of_samples_that_are_in_train(copies: Any, tmp_path: Path) -> None:
    # Of four samples that come over and over, three are train events, twice the same.
    drawn = torch.cat((Pictures().load("train").events[[3, 17, 3]], torch.full((1, 1, 2, 3), 2)))
    measured = answer(copies(num_samples=202), Parrot(drawn), Pictures(), tmp_path / "left")
    expected = torch.tensor([1.0, 1.0, 1.0, 0.0] * 51, dtype=torch.float64)[:202]
    assert torch.equal(measured.values["copied"], expected)
    number = measured.number
    assert (number.case, number.unit, number.better) == ("samples", "share of samples", "lower")
    assert number.value == pytest.approx(152 / 202)
    assert number.error == pytest.approx(math.sqrt(152 / 202 * 50 / 202 / 201))
    assert measured.num_groups == 202
    (baseline,) = measured.baselines
    assert (baseline.case, baseline.value) == ("test events", 0.5)
    assert measured.details == {"num_train_events": 20, "num_copied": 152}
    (picture,) = measured.pictures
    pixels = np.asarray(Image.open(picture))[::4, ::4, 0] // 127  # of 0, 127 and 255
    shown = drawn[[0, 1, 2] * 5 + [0], 0]
    assert np.array_equal(pixels, torch.cat([*shown], 1).numpy())


def test_without_copies_there_is_no_picture(copies: Any, tmp_path: Path) -> None:
    strange = torch.full((1, 1, 2, 3), 2)
    measured = answer(copies(num_samples=7), Parrot(strange), Pictures(), tmp_path / "left")
    assert (measured.number.value, measured.pictures) == (0.0, [])
    assert not (tmp_path / "left").exists()


def test_a_word_counts_up_to_its_end(copies: Any, tmp_path: Path) -> None:
    drawn = [[1, 0, 2, 1], [1, 1, 0, 0], [2, 1, 0, 2], [2, 1, 2, 0], [2, 0, 0, 0]]
    density = Parrot(torch.tensor(drawn))
    measured = answer(copies(num_samples=5), density, Words3(), tmp_path)
    assert measured.values["copied"].tolist() == [1, 0, 1, 0, 0]
    assert measured.baselines[0].value == 0.5


class Few(Words):
    """Words of which some only are in train."""

    def load(self, split: SplitName) -> Split:
        return super().load(split).first(6)


def test_samples_depend_on_the_seed_alone(copies: Any, tmp_path: Path) -> None:
    first, second = (answer(copies(), Biased(), Few(), tmp_path) for _ in range(2))
    assert torch.equal(first.values["copied"], second.values["copied"])
    assert len(first.values["copied"]) == 1000
    train = {tuple(event) for event in Few().load("train").events.tolist()}
    chance = sum(0.75 ** sum(event) * 0.25 ** (4 - sum(event)) for event in train)
    assert 0.1 < chance < 0.9
    assert abs(first.number.value - chance) < 4 * first.number.error


class Grey(Pictures):
    """Pictures of which training sees other ones in every epoch."""

    name = "grey"

    def load(self, split: SplitName) -> Split:
        events = super().load(split).events
        return Split(events * 100 if split == "train" else events)

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return (torch.rand(events.shape, generator=generator) * 200 < events).to(torch.uint8)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (Text().windows(6, 3), "text is one sequence, and its windows begin at arbitrary places"),
        (Grey(), "the train events of grey are drawn anew in every epoch"),
    ],
)
def test_it_refuses_what_means_nothing(task: Task, reason: str, copies: Any) -> None:
    assert measuring(Biased(), task).refusal(copies()) == reason


def test_it_refuses_real_numbers_and_no_samples_at_all(copies: Any) -> None:
    real = type("Reals", (Words,), {"spec": EventSpec((4,), Real()), "name": "reals"})()
    density: Any = Biased()
    assert "the dims of reals are real numbers" in measuring(density, real).refusal(copies())
    with pytest.raises(ValueError, match="num_samples is 0, expected 1 or more"):
        copies(num_samples=0)


@pytest.fixture(scope="module")
def installed(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell whose environment has the plugin, built from a copy of its sources."""
    copy = tmp_path_factory.mktemp("source") / "arbench-copies"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    done = shell("pip install --quiet .", copy)
    assert done.returncode == 0, done.stderr
    return shell


def test_it_is_listed_and_shown(installed: Shell) -> None:
    done = installed("arbench list measurements --json", ARBENCH_STRICT_PLUGINS="1")
    assert done.returncode == 0, done.stderr
    rows = {row["measurement"]: row for row in json.loads(done.stdout)["measurements"]}
    assert rows["copies"]["plugin"] == "arbench-copies"
    shown = installed("arbench show copies")
    assert "num_samples" in shown.stdout
    assert "share of samples" in shown.stdout


def test_its_own_tests_pass(installed: Shell) -> None:
    done = installed(f"pytest -q -p no:cacheprovider '{SOURCE / 'tests'}'")
    assert done.returncode == 0, done.stdout


def test_the_readmes_commands_work(installed: Shell, tmp_path: Path) -> None:
    readme = (SOURCE / "README.md").read_text()
    _, tests, *commands = readme.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert tests == "pytest"
    told = []
    for command in commands:
        done = installed(command, tmp_path)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert "deterministic" in told[0]
    assert "test events (baseline)" in told[1]


# What follows is one result on its way through everything that arbench does with results.
RUN = "arbench run --task toy-markov --device cpu --epochs 10"
BOARD = "arbench leaderboard toy-markov --runs runs --measurement"


@pytest.fixture(scope="module")
def results(installed: Shell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs: one that copies as often as the data do, and one that cannot."""
    folder = tmp_path_factory.mktemp("results")
    for script in (
        f"{RUN} --model fvsbn --set alternative=free --measure copies --out runs/fvsbn",
        f"{RUN} --model bernoulli --out runs/bernoulli",
        "arbench measure runs/bernoulli copies 'copies?num_samples=300'",
    ):
        done = installed(script, folder)
        assert done.returncode == 0, done.stderr
    return folder


def section(folder: Path, run: str, key: str = "copies") -> dict[str, Any]:
    """Of a result in the record of a run."""
    record = json.loads((folder / "runs" / run / "record.json").read_text())
    found: dict[str, Any] = record["measurements"][key]
    return found


def share_of_test(also_in: str) -> float:
    """The share of test events of the task that are in another split."""
    test, other = (Dataset("toy-markov").split(name) for name in ("test", also_in))
    return test.num_events_also_in(other) / len(test)


def test_a_run_records_it_with_all_that_it_depends_on(results: Path) -> None:
    found = section(results, "fvsbn")
    assert (found["version"], found["settings"], found["seed"]) == ("1", {}, 0)
    assert (found["index"], found["num_values"], found["num_groups"]) == ("samples", 1000, 1000)
    (number,) = found["rows"]
    assert (number["unit"], number["better"]) == ("share of samples", "lower")
    (baseline,) = found["baselines"]
    assert baseline["case"] == "test events"
    assert baseline["value"] == share_of_test("train") > 0.2
    assert 0.1 < number["value"] < baseline["value"] + 0.1, "it copies by chance, as the data do"
    kept = load_file(results / "runs" / "fvsbn" / "per_event.safetensors")["copies:copied"]
    assert kept.mean().item() == number["value"]
    p = number["value"]
    assert number["error"] == pytest.approx(math.sqrt(p * (1 - p) / 999))


def test_more_is_measured_of_a_finished_run(results: Path, installed: Shell) -> None:
    whole, part = (section(results, "bernoulli", key) for key in ("copies", KEY))
    assert (whole["num_values"], part["num_values"]) == (1000, 300)
    assert part["settings"] == {"num_samples": 300}
    before = (results / "runs" / "bernoulli" / "record.json").read_bytes()
    again = installed("arbench measure runs/bernoulli copies --device cpu", results)
    assert again.returncode == 0, again.stderr
    assert "copies is measured already, by version 1: kept" in again.stderr
    assert (results / "runs" / "bernoulli" / "record.json").read_bytes() == before


def test_a_board_ranks_by_it(results: Path, installed: Shell) -> None:
    done = installed(f"{BOARD} copies", results)
    assert done.returncode == 0, done.stderr
    assert "share of samples (lower is better)" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    ranks = {row[0]: row[1] for row in rows if row and row[0] in ("fvsbn", "bernoulli")}
    assert ranks == {"bernoulli": "1", "fvsbn": "2"}
    assert any(row[:2] == ["test", "events"] for row in rows), "the baseline"
    with_settings = installed(f"{BOARD} '{KEY}'", results)
    assert "bernoulli" in with_settings.stdout


def test_runs_are_compared_by_it(results: Path, installed: Shell) -> None:
    done = installed("arbench compare runs/fvsbn runs/bernoulli --measurement copies", results)
    assert done.returncode == 0, done.stderr
    assert "runs/bernoulli is better" in done.stdout
    told = installed(
        "arbench compare runs/fvsbn runs/bernoulli --measurement copies --json", results
    )
    found = json.loads(told.stdout)
    numbers = [section(results, run)["rows"][0]["value"] for run in ("fvsbn", "bernoulli")]
    assert found["difference"] == pytest.approx(numbers[1] - numbers[0])
    assert found["num_values"] == 1000


def test_it_is_verified(results: Path, installed: Shell) -> None:
    done = installed("arbench verify runs/fvsbn --device cpu", results)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("copies")]
    value = section(results, "fvsbn")["rows"][0]["value"]
    assert f"copies holds: recorded {value:.6g}, found {value:.6g} share of samples" in line


def test_the_page_and_the_card_show_it(results: Path, installed: Shell) -> None:
    done = installed("arbench leaderboard --html boards --runs runs", results)
    assert done.returncode == 0, done.stderr
    page = (results / "boards" / "index.html").read_text()
    value, error = (section(results, "fvsbn")["rows"][0][key] for key in ("value", "error"))
    shown = measured_text(value, error)
    assert "copies" in page
    assert shown in page
    card = (results / "runs" / "fvsbn" / "README.md").read_text()
    assert "## Copies\n" in card
    assert shown in card
    told = installed("arbench show runs/fvsbn", results)
    assert shown in told.stdout
