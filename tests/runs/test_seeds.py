"""Seeds of one recipe: runs in one folder, taken up again, compared as a recipe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import arbench
from arbench.cli import main
from arbench.errors import ConfigError, Interrupted, RunError
from arbench.measure.statistics.seeds import RecipesDifference
from arbench.runs.config import RunConfig
from arbench.runs.experiment import Run
from arbench.runs.record.record import Record
from arbench.runs.seeds import seeds_home
from arbench.show.reporting import Reporter

TASK, MODEL = "toy-markov", "fvsbn"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three seeds each of a longer and a shorter training."""
    root = tmp_path_factory.mktemp("seeds")
    for name, epochs in (("long", 3), ("short", 1)):
        made = arbench.run_seeds(
            TASK, MODEL, seeds=3, epochs=epochs, device="cpu", out=root / name, limit=600
        )
        assert [run.path for run in made] == [root / name / f"seed-{n}" for n in range(3)]
    return {path.name: path for path in root.iterdir()}


class Said(Reporter):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_seeds_are_one_recipe_and_other_settings_are_another(homes: dict[str, Path]) -> None:
    recipes = {}
    for name, home in homes.items():
        configs = [RunConfig.read(home / f"seed-{n}" / "config.json") for n in range(3)]
        assert [config.seed for config in configs] == [0, 1, 2]
        (recipes[name],) = {config.recipe_sha256 for config in configs}
        records = [Record.read(home / f"seed-{n}" / "record.json") for n in range(3)]
        assert {r.training.recipe_sha256 for r in records if r.training} == {recipes[name]}
        assert len({record.result_sha256 for record in records}) == 3
    assert recipes["long"] != recipes["short"]


@pytest.mark.parametrize(
    "change", [{"budget_s": 5.0}, {"limit": 700}, {"precision": "bfloat16"}, {"compile": True}]
)
def test_a_recipe_is_all_but_the_seed(homes: dict[str, Path], change: dict[str, object]) -> None:
    config = RunConfig.read(homes["long"] / "seed-0" / "config.json")
    assert config.model_copy(update={"seed": 77}).recipe_sha256 == config.recipe_sha256
    assert config.model_copy(update=change).recipe_sha256 != config.recipe_sha256
    again = RunConfig.model_validate(json.loads(config.model_dump_json()))
    assert again.recipe_sha256 == config.recipe_sha256


def test_what_is_finished_is_kept_and_more_seeds_are_added(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    home = Path(shutil.copytree(homes["short"], tmp_path / "home"))
    shutil.rmtree(home / "seed-1")
    before = (home / "seed-0" / "record.json").read_bytes()
    said = Said()
    made = arbench.run_seeds(
        TASK, MODEL, seeds=4, epochs=1, device="cpu", out=home, limit=600, reporter=said
    )
    assert len(made) == 4
    assert (home / "seed-0" / "record.json").read_bytes() == before
    assert sum("is finished: there is nothing to resume" in line for line in said.lines) == 2
    first = Record.read(homes["short"] / "seed-1" / "record.json")
    again = Record.read(home / "seed-1" / "record.json")
    assert again.result_sha256 == first.result_sha256  # a seed says all


def test_a_folder_of_another_recipe_is_not_taken_up(homes: dict[str, Path]) -> None:
    said = r"seed-0: is a run of another recipe \(recipe, training\); choose another folder"
    with pytest.raises(ConfigError, match=said):
        arbench.run_seeds(TASK, MODEL, seeds=4, epochs=2, out=homes["short"], limit=600)
    assert not (homes["short"] / "seed-3").exists()
    with pytest.raises(ConfigError, match="is the folder of a run"):
        arbench.run_seeds(TASK, MODEL, seeds=2, epochs=1, out=homes["short"] / "seed-0")


def test_a_seed_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import arbench.api.queue

    real = arbench.api.queue.run

    def fails_once(*args: object, seed: int, **options: object) -> Run:
        if seed == 1:
            raise RunError("no luck")
        return real(*args, seed=seed, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(arbench.api.queue, "run", fails_once)
    with pytest.raises(RunError, match="1 of 3 seeds failed: seed-1"):
        arbench.run_seeds(TASK, MODEL, seeds=3, epochs=1, device="cpu", out=tmp_path, limit=50)
    assert sorted(path.name for path in tmp_path.glob("seed-*")) == ["seed-0", "seed-2"]

    def stops(*args: object, **options: object) -> Run:
        raise Interrupted("stopped", 2)

    monkeypatch.setattr(arbench.api.queue, "run", stops)
    said = Said()
    with pytest.raises(Interrupted):
        arbench.run_seeds(
            TASK, MODEL, seeds=3, epochs=1, device="cpu", out=tmp_path, limit=50, reporter=said
        )
    assert said.lines[-1] == f"seeds   {tmp_path}: the same command goes on with the rest"


def test_three_seeds_on_both_sides_are_compared_as_recipes(homes: dict[str, Path]) -> None:
    found = arbench.compare(homes["long"], homes["short"])
    assert isinstance(found, RecipesDifference)
    assert found.num_seeds == (3, 3)
    means = [
        sum(
            Record.read(homes[name] / f"seed-{n}" / "record.json").splits["test"].nats_per_event
            for n in range(3)
        )
        / 3
        for name in ("short", "long")
    ]
    assert found.nats == pytest.approx(means[0] - means[1], rel=1e-9)
    assert arbench.compare(homes["short"], homes["long"]).nats == pytest.approx(-found.nats)


def test_fewer_than_three_seeds_are_compared_as_weights(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    two = Path(shutil.copytree(homes["short"], tmp_path / "two"))
    shutil.rmtree(two / "seed-2")
    for other in (two, homes["short"] / "seed-0"):
        found = arbench.compare(homes["long"], other)
        assert not isinstance(found, RecipesDifference)
    single = arbench.compare(homes["long"] / "seed-0", homes["short"] / "seed-0")
    assert single.num_groups == single.num_events == 600


def test_a_folder_of_two_recipes_is_none(homes: dict[str, Path], tmp_path: Path) -> None:
    mixed = Path(shutil.copytree(homes["short"], tmp_path / "mixed"))
    shutil.rmtree(mixed / "seed-2")
    shutil.copytree(homes["long"] / "seed-2", mixed / "seed-2")
    with pytest.raises(ConfigError, match="seed-0 and seed-2 are of different recipes"):
        arbench.compare(mixed, homes["long"])
    (mixed / "seed-2").rename(mixed / "seed-7")
    with pytest.raises(ConfigError, match="seed-7: holds a run of seed 2"):
        arbench.compare(mixed, homes["long"])


def test_the_verdict_says_what_it_is_about(
    homes: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(homes["long"]), str(homes["short"])]) == 0
    recipes = capsys.readouterr().out
    assert "about these recipes, over their seeds and the test events" in recipes
    assert "by the test events, ± " in recipes
    assert "by the 3 and 3 seeds" in recipes
    pair = [str(homes[name] / "seed-0") for name in ("long", "short")]
    assert main(["compare", *pair]) == 0
    assert "(about these weights; a verdict about recipes takes 3 seeds of each)" in (
        capsys.readouterr().out
    )
    assert main(["compare", str(homes["long"]), str(homes["short"]), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["num_seeds"] == [3, 3]
    assert values["error_of_seeds_nats"] > 0


def test_seeds_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--task", TASK, "--model", MODEL, "--epochs", "1", "--limit", "50"]
    words += ["--device", "cpu", "--out", str(tmp_path / "home"), "--seeds", "3"]
    assert main(words) == 0
    assert "3 seeds: " in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["training"]["seed"] for record in records] == [0, 1, 2]
    for wrong in (["--seed", "1"], ["--push", "me"]):
        assert main([*words, *wrong]) == 2
        assert f"leave out {wrong[0]}." in capsys.readouterr().err


def test_a_folder_of_seeds_is_no_run_and_the_line_says_so(
    homes: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    home = homes["short"]
    assert main(["show", str(home)]) == 2
    said = capsys.readouterr().err
    assert f"is a folder of 3 seeds; name one of its runs, such as {home / 'seed-0'}, or" in said
    for verb in ("evaluate", "verify"):
        assert main([verb, str(home)]) == 3
        assert "One of seeds holds runs (seed-0 and so on)" in capsys.readouterr().err


def test_seeds_have_a_folder_of_their_own_by_task_and_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert seeds_home(None, "table:My Data", "nade") == Path("runs/table-y-ata-nade-seeds")
    assert seeds_home(None, "mnist", "nade") == Path("runs/mnist-nade-seeds")
    assert seeds_home(tmp_path / "own", "mnist", "nade") == tmp_path / "own"


def test_no_seed_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seeds is at least 1, got 0"):
        arbench.run_seeds("toy-markov", "bernoulli", seeds=0, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()
