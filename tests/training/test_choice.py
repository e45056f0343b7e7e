"""Which recipe is taken: that of the task, one by its name, or what is good within a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import arbench
from arbench.data.tasks import open_task
from arbench.errors import ConfigError
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.registry.source import recipe_names
from arbench.runs.request import RunRequest, resolve
from arbench.show.reporting import Reporter
from arbench.training.choice import named_recipe, recipe_in_time, say_choice
from arbench.training.recipes import read_recipe


def _entry(model: str) -> ModelEntry:
    return registry().find(ModelEntry, model).entry


@pytest.mark.parametrize(
    ("model", "task", "seconds", "recipe"),
    [
        ("lstm", "shakespeare", 120, "lstm/shakespeare-2m"),
        ("lstm", "shakespeare", 10, "lstm/shakespeare-2m"),
        ("lstm", "shakespeare", 1199, "lstm/shakespeare-2m"),
        ("lstm", "shakespeare", 1200, "lstm/shakespeare"),
        ("lstm", "names", 120, "lstm/names"),
        ("gpt", "shakespeare", 120, "gpt/shakespeare-2m"),
        ("gpt", "names", 120, "gpt/names"),
        ("pixelcnn", "mnist", 120, "pixelcnn/mnist-2m"),
        ("lstm", "text-1f2e3d4c", 120, "lstm/default"),
        ("nade", "mnist", 1, "nade/mnist"),
        ("bernoulli", "mnist", 1, "bernoulli/default"),
    ],
)
def test_a_short_budget_takes_a_quick_recipe_where_there_is_one(
    model: str, task: str, seconds: float, recipe: str
) -> None:
    assert recipe_in_time(_entry(model), task, seconds)[0] == recipe


def test_every_quick_recipe_says_from_when_on_the_long_one_is_better() -> None:
    quick = [
        (entry, name, int(name.rpartition("-")[2].removesuffix("m")))
        for entry in (_entry(model) for model in registry().models)
        for name in recipe_names(entry.recipes)
        if name.rpartition("-")[2].removesuffix("m").isdigit() and name.endswith("m")
    ]
    assert {name for _, name, _ in quick} >= {"shakespeare-2m"}
    for entry, name, minutes in quick:
        usual = read_recipe(entry, name.rpartition("-")[0])
        assert usual[0] == f"{entry.name}/{name.rpartition('-')[0]}"
        assert usual[1]["minutes"] > minutes


def _resolved(data_dir: Path, **options: Any) -> str:
    config, _ = resolve(
        RunRequest(task="shakespeare", model="lstm", **options), open_task("shakespeare")
    )
    return config.recipe_name


def test_who_sets_something_or_names_a_recipe_gets_that(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARBENCH_DATA", str(data_dir))
    assert _resolved(data_dir, budget_s=120.0) == "lstm/shakespeare-2m"
    assert _resolved(data_dir, budget_s=120.0, evaluate_test=False) == "lstm/shakespeare-2m"
    assert _resolved(data_dir) == "lstm/shakespeare"
    assert _resolved(data_dir, epochs=1) == "lstm/shakespeare"
    assert _resolved(data_dir, budget_s=120.0, overrides={"dropout": 0.1}) == "lstm/shakespeare"
    assert _resolved(data_dir, budget_s=120.0, recipe="shakespeare") == "lstm/shakespeare"
    assert _resolved(data_dir, recipe="names") == "lstm/names"


def test_a_recipe_that_is_none_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'?shakespeare-2m'?.*there are default, enwik8"):
        named_recipe(_entry("lstm"), "shakespeare-3m")


def test_the_choice_is_said_with_the_way_to_the_other() -> None:
    said: list[str] = []
    reporter = Reporter()
    reporter.say = said.append  # type: ignore[method-assign]
    say_choice("lstm/shakespeare-2m", 120.0, reporter)
    say_choice("nade/mnist", 120.0, reporter)
    assert said == [
        "recipe  lstm/shakespeare-2m for a short time; --recipe shakespeare takes the long one",
        "recipe  nade/mnist, whose schedule is laid over 2 min of training",
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_epochs_of_the_quick_recipe_are_below_2_4_bits(data_dir: Path, tmp_path: Path) -> None:
    """It has seven, in 184 seconds of one core; two minutes of two cores are 240."""
    run = arbench.run(
        "shakespeare", "lstm", recipe="shakespeare-2m", epochs=2, out=tmp_path, evaluate_test=False
    )
    assert run.record.splits["validation"].bits_per_dim < 2.4
