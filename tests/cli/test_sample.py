"""`arbench sample`: refused before the work, round trips, completions of the task's own events."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arbench import api
from arbench.cli import main
from arbench.data.tasks import open_task


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run on a few binary digits."""
    out = tmp_path_factory.mktemp("digits") / "run"
    arguments = ["--task", "mnist-mini", "--limit", "100", "--model", "bernoulli"]
    assert main(["run", *arguments, "--device", "cpu", "--out", str(out)]) == 0
    return str(out)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A run on a table of the user's own, and the table."""
    folder = tmp_path_factory.mktemp("table")
    rows = np.random.default_rng(0).integers(0, 2, (400, 12))
    np.savetxt(folder / "rows.csv", rows, fmt="%d", delimiter=",")
    task = f"table:{folder / 'rows.csv'}"
    arguments = ["--task", task, "--model", "bernoulli", "--out", str(folder / "run")]
    assert main(["run", *arguments, "--device", "cpu"]) == 0
    return str(folder / "run"), task


@pytest.mark.parametrize("name", ["nowhere/grid.png", "grid.jpg", ""])
def test_a_bad_place_is_refused_before_anything_is_drawn(
    digits: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    def draw(*_: object, **__: object) -> None:
        raise AssertionError("drawn before the place was looked at")

    monkeypatch.setattr(api, "sample", draw)
    assert main(["sample", digits, "--out", str(tmp_path / name)]) == 2
    assert str(tmp_path / name) in capsys.readouterr().err


def test_samples_of_a_table_are_a_table(
    table: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", table[0], "-n", "300", "--seed", "3", "--device", "cpu"]) == 0
    drawn = api.sample(api.load(table[0]), 300, seed=3)
    again = open_task(f"table:{tmp_path / 'samples.csv'}")
    assert again.spec == open_task(table[1]).spec
    read = torch.cat([again.load(split).events for split in ("train", "validation", "test")])
    assert sorted(read.tolist()) == sorted(drawn.tolist())


def test_samples_of_a_mixed_table_have_its_columns_and_types(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three categorical columns with different numbers of values, two real ones, one binary."""
    rng = np.random.default_rng(3)
    cities, plans, owner = ["Bonn", "Koeln, West", "Ulm"], list("abcde"), ["no", "yes"]
    table = [
        [
            cities[city := int(rng.integers(3))],
            int(rng.normal(40 + 10 * city, 9)),
            plans[int(rng.integers(5))],
            f"{rng.lognormal(8, 0.5):.2f}",
            owner[int(rng.random() < 0.2 + 0.3 * city)],
            int(rng.integers(1, 5)),
        ]
        for _ in range(1500)
    ]
    header = ["city", "age", "plan", "income", "owner", "rooms"]
    with open(tmp_path / "people.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *table])
    task, run, out = f"table:{tmp_path / 'people.csv'}", str(tmp_path / "run"), tmp_path / "new.csv"
    command = ["run", "--task", task, "--model", "nade", "--epochs", "15", "--set"]
    command += ["hidden=32", "--set", "learning_rate=0.02"]
    assert main([*command, "--device", "cpu", "--out", run]) == 0
    assert "columns city 3, age real, plan 5, income real, owner 2" in capsys.readouterr().err
    assert main(["sample", run, "-n", "600", "--device", "cpu", "--out", str(out)]) == 0
    again = open_task(f"table:{out}")
    assert again.spec == open_task(task).spec
    with open(out, encoding="utf-8", newline="") as file:
        found, *rows = csv.reader(file)
    assert found == header
    assert {row[0] for row in rows} == set(cities)
    assert all(row[1].lstrip("-").isdigit() and len(row[3].split(".")[1]) == 2 for row in rows)
    # Who lives in Ulm is twenty years older, and owns more often.
    ages = {city: np.mean([int(row[1]) for row in rows if row[0] == city]) for city in cities}
    assert ages["Ulm"] - ages["Bonn"] == pytest.approx(20, abs=5)
    given = ["--given", "test:4", "--rows", "3", "--task", task]
    assert main(["sample", run, "-n", "20", "--device", "cpu", *given, "--out", str(out)]) == 0
    with open(out, encoding="utf-8", newline="") as file:
        completed = {tuple(row[:3]) for row in [*csv.reader(file)][1:]}
    (known,) = completed
    assert [known[0], int(known[1]), known[2]] in [row[:3] for row in table]
    assert main(["evaluate", run, "--task", task, "--json"]) == 0


@pytest.mark.parametrize("split", ["test", "validation", "train"])
def test_an_event_of_the_task_is_completed(digits: str, tmp_path: Path, split: str) -> None:
    out = tmp_path / "out.png"
    command = ["sample", digits, "-n", "1", "--given", f"{split}:7", "--rows", "28"]
    assert main([*command, "--out", str(out)]) == 0
    picture = np.asarray(Image.open(out))
    event = open_task("mnist-mini").load(split).events[7, 0].numpy() * 255
    top, factor = 40, 600 // 32
    for left in (16, 16 + 32 * factor + 16, 16 + 2 * (32 * factor + 16)):  # side by side
        panel = picture[top : top + 32 * factor : factor, left : left + 32 * factor : factor, 0]
        assert (panel[2:30, 2:30] == event).all()


def test_the_first_dims_of_a_row_are_kept(table: tuple[str, str], tmp_path: Path) -> None:
    run, task = table
    out = tmp_path / "out.csv"
    command = ["sample", run, "-n", "50", "--given", "test:2", "--rows", "5", "--out", str(out)]
    assert main([*command, "--task", task]) == 0
    rows = np.loadtxt(out, delimiter=",", dtype=int)
    event = open_task(task).load("test").events[2].numpy()
    assert (rows[:, :5] == event[:5]).all()
    assert (rows[:, 5:].min(0) < rows[:, 5:].max(0)).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("test:1000", "mnist-mini has 1,000 test events, 0 to 999"),
        ("test:-1", "mnist-mini has 1,000 test events, 0 to 999"),
        ("tset:7", "given as test:7"),
    ],
)
def test_an_event_that_is_not_there_is_refused(
    digits: str, capsys: pytest.CaptureFixture[str], given: str, words: str
) -> None:
    assert main(["sample", digits, "--given", given, "--rows", "3"]) in (2, 3)
    assert words in capsys.readouterr().err


def test_data_of_ones_own_have_to_be_named_again(
    table: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", table[0], "--given", "test:2", "--rows", "3"]) == 2
    assert "--task table:PATH" in capsys.readouterr().err


def test_help_says_what_happens_to_grey(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--help"]) == 0
    assert "grey 128 and above becomes 1" in " ".join(capsys.readouterr().out.split())


def test_too_many_samples_are_one_line(
    digits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sample", digits, "--device", "cpu", "--out", str(tmp_path / "out.png"), "-n"]
    assert main([*arguments, "9" * 23]) == 2
    assert "not in the range" in capsys.readouterr().err

    def draw(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr(api, "sample", draw)
    assert main([*arguments, "1000000"]) == 1
    error = capsys.readouterr().err
    assert "1,000,000 samples are too many at once; use a smaller -n" in error
    assert "enforce" not in error


@pytest.mark.parametrize(
    ("task", "words"),
    [("nosuch", "no task is called 'nosuch'"), ("toy-markov", "the run is on mnist-mini")],
)
def test_another_task_than_the_run_s_is_refused(
    digits: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, words: str
) -> None:
    out = tmp_path / "out.png"
    assert main(["sample", digits, "-n", "1", "--task", task, "--out", str(out)]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()
