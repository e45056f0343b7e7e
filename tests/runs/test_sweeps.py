"""A queue entry with lists is a sweep: its runs, their names, and the tables that show them."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

import arbench
from arbench.boards.boards import find_boards
from arbench.cli import main
from arbench.errors import ConfigError
from arbench.measure.statistics.holm import holm_adjusted
from arbench.runs.queue import QueuedRun, read_queue
from arbench.runs.record.difference import name_of_seeds, settings_that_differ

SWEEP = """
[[run]]
task = "toy-markov"
model = "fvsbn"
epochs = 1
seed = [0, 1]
settings."training.learning_rate" = [1e-3, 0.1]
"""


def read(folder: Path, text: str) -> list[QueuedRun]:
    """The runs of a queue file with this text."""
    (folder / "queue.toml").write_text(text)
    return read_queue(folder / "queue.toml")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two settings with two seeds each, trained."""
    folder = tmp_path_factory.mktemp("sweep")
    read(folder, SWEEP)
    arbench.run_queue(folder / "queue.toml", out=folder / "runs", device="cpu")
    (folder / "runs" / "begun").mkdir()
    (folder / "runs" / "begun" / "config.json").write_text("{}")
    return folder / "runs"


def test_an_entry_with_lists_stands_for_every_combination(tmp_path: Path) -> None:
    found = read(tmp_path, SWEEP)
    assert [(run.name, run.seed, dict(run.settings or {})) for run in found] == [
        (
            f"toy-markov-fvsbn.seed-{seed}.learning_rate-{rate}",
            seed,
            {"training.learning_rate": rate},
        )
        for seed in (0, 1)
        for rate in (0.001, 0.1)
    ]
    assert {run.epochs for run in found} == {1}


def test_a_list_that_a_setting_takes_is_one_value(tmp_path: Path) -> None:
    entry = '[[run]]\ntask = "toy-markov"\nmodel = "made"\nname = "deep"\nsettings.hidden = '
    (run,) = read(tmp_path, entry + "[20, 30]")
    assert (run.name, run.settings) == ("deep", {"hidden": [20, 30]})
    one, other = read(tmp_path, entry + "[[20], [20, 30]]")
    assert (one.name, one.settings) == ("deep.hidden-20", {"hidden": [20]})
    assert (other.name, other.settings) == ("deep.hidden-20-30", {"hidden": [20, 30]})


def test_tasks_and_models_are_swept_too(tmp_path: Path) -> None:
    entry = '[[run]]\ntask = ["toy-markov", "toy-ising"]\nmodel = ["nade", "fvsbn"]\n'
    names = [run.name for run in read(tmp_path, entry)]
    assert names == ["toy-markov-nade", "toy-markov-fvsbn", "toy-ising-nade", "toy-ising-fvsbn"]
    assert [run.name for run in read(tmp_path, entry + 'name = "all"')] == [
        f"all.{task}.{model}" for task in ("toy-markov", "toy-ising") for model in ("nade", "fvsbn")
    ]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("seed = []", "stands for 0 runs, expected 1 to"),
        ("seed = [0, 0]", "two runs are called 'toy-markov-nade.seed-0'"),
        (f"seed = {[*range(101)]}\nepochs = {[*range(1, 101)]}", "stands for 10,100 runs"),
        (f'seed = [0, 1]\nname = "{"x" * 60}"', "is too long; give the entry a short name"),
        ("seed = [0, -1]", "greater than or equal to 0"),
    ],
)
def test_what_is_no_sweep_is_refused(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        read(tmp_path, f'[[run]]\ntask = "toy-markov"\nmodel = "nade"\n{lines}\n')


def test_a_list_of_runs_groups_seeds_and_shows_what_differs(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "runs", str(runs), "--json"]) == 0
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    assert rows.pop("begun")["state"] == "unfinished"
    rates = {"0.001", "0.1"}
    assert set(rows) == {f"toy-markov-fvsbn.learning_rate-{rate}" for rate in rates}
    for rate in rates:
        row = rows[f"toy-markov-fvsbn.learning_rate-{rate}"]
        assert (row["settings"], row["seeds"]) == (f"learning_rate={rate}", "0, 1")
        nats = [
            json.loads(
                (
                    runs / f"toy-markov-fvsbn.seed-{seed}.learning_rate-{rate}" / "record.json"
                ).read_text()
            )["measurements"]["likelihood"]["test"]["nats_per_event"]
            for seed in (0, 1)
        ]
        spread = f"{statistics.stdev(nats):.2g}"
        assert row["nats"] == f"{statistics.fmean(nats):.3f}, sd {spread}"
    assert main(["list", "runs", str(runs)]) == 0
    table = capsys.readouterr().out
    assert not re.search(r"\b[0-9a-f]{8}\b", table)
    assert main(["list", "runs", str(runs / "none")]) == 2
    assert main(["list", "models", str(runs)]) == 2


def test_a_board_names_runs_by_what_differs(runs: Path) -> None:
    (board,), _ = find_boards("toy-markov", runs=runs)
    own = [row for row in board.rows if row.status == "local"]
    assert {(row.run, row.model, row.num_seeds) for row in own} == {
        (f"toy-markov-fvsbn.learning_rate-{rate}", f"fvsbn learning_rate={rate}", 2)
        for rate in ("0.001", "0.1")
    }
    assert all(row.nats_sd is not None and row.nats_sd > 0 for row in own)


def test_several_runs_are_compared_in_pairs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [
        str(runs / f"toy-markov-fvsbn.seed-{seed}.learning_rate-{rate}")
        for seed, rate in ((0, "0.1"), (1, "0.1"), (0, "0.001"))
    ]
    assert main(["compare", *folders, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(pair["a"], pair["b"]) for pair in found["pairs"]] == [
        (folders[0], folders[1]),
        (folders[0], folders[2]),
        (folders[1], folders[2]),
    ]
    alone = []
    for pair in found["pairs"]:
        assert main(["compare", pair["a"], pair["b"], "--json"]) == 0
        alone.append(json.loads(capsys.readouterr().out))
        assert pair["difference_nats_per_event"] == alone[-1]["difference_nats_per_event"]
    assert [p["p_holm"] for p in found["pairs"]] == holm_adjusted([a["p_value"] for a in alone])
    assert found["ranks"][folders[2]] == 3  # a step of 0.001 is too small for one epoch
    assert main(["compare", *folders]) == 0
    assert f"3     {folders[2]}" in capsys.readouterr().out


def test_what_differs_is_named_shortly() -> None:
    def record(hidden: object, /, **training: object) -> dict[str, Any]:
        settings = {"network": {"hidden": hidden}, "training": training}
        return {"training": {"settings": settings, "seed": hidden, "precision": "float32"}}

    first, second = record(100, rate=0.5, epochs=1), record([20, 30], rate=0.5, epochs=2)
    assert settings_that_differ([first, second]) == [
        "hidden=100 epochs=1",
        "hidden=[20,30] epochs=2",
    ]
    assert settings_that_differ([first, first]) == ["", ""]
    old = record(100, rate=0.5)  # of a time without epochs
    assert settings_that_differ([old, second]) == ["hidden=100", "hidden=[20,30]"]
    twice = [record(n, hidden=n) for n in (1, 2)]
    assert settings_that_differ(twice)[1] == "network.hidden=2 training.hidden=2"
    many = [record(1, **dict.fromkeys("abcdef", value)) for value in (1, 2)]
    assert settings_that_differ(many)[1] == "a=2 b=2 c=2"


def test_seeds_share_a_name(tmp_path: Path) -> None:
    def name(*folders: str) -> str:
        return name_of_seeds([tmp_path / "mnist-nade" / folder for folder in folders])

    assert name("seed-0", "seed-1") == "mnist-nade"
    assert name("seed-0") == "mnist-nade"
    assert name("a.seed-0.rate-1", "a.seed-1.rate-1") == "a.rate-1"
    assert name("mine") == "mine"
    assert name("mine", "other") == "mine, other"
