"""Which default recipe the other sets choose, and what it costs: `scripts/tune_defaults.py`."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.training.recipes import resolve_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "tune_defaults.py"
    location = importlib.util.spec_from_file_location("tune_defaults", path)
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    return module


def test_a_set_has_no_say_in_what_is_chosen_for_it(script: ModuleType) -> None:
    nats = {
        "a": {"slow": 10.0, "fast": 20.0},
        "b": {"slow": 11.0, "fast": 10.0},
        "c": {"slow": 11.0, "fast": 10.0, "kept": 8.0},
    }
    found = script.leave_one_out(nats)
    # Without a, fast is best on both; its own best is no candidate's doing.
    assert found[0] == ("a", "fast", pytest.approx(1.0), "slow")
    assert found[1] == ("b", "slow", pytest.approx(0.1), "fast")
    assert found[2] == ("c", "slow", pytest.approx(11 / 8 - 1), "kept")
    assert found[3] == ("", "slow", pytest.approx(11 / 8 - 1), "")


def test_a_candidate_of_several_trainings_is_the_best_of_them_on_each_set(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "kept_nats", lambda model, task: {})
    plan = {"sets": ["a", "b"], "candidates": {"m": {"one": ["x"], "both": ["x", "y"]}}}
    nats = {("a", "x"): 3.0, ("a", "y"): 2.0, ("b", "x"): 5.0, ("b", "y"): 6.0}
    tried = {("m", *place): {"nats": f"{value:.4f}"} for place, value in nats.items()}
    assert script.nats_of_candidates("m", plan, tried) == {
        "a": {"one": 3.0, "both": 2.0},
        "b": {"one": 5.0, "both": 5.0},
    }


@pytest.mark.parametrize("model", ["fvsbn", "made", "nade"])
def test_the_default_recipe_is_what_was_tried(script: ModuleType, model: str) -> None:
    plan = tomllib.loads((ROOT / "docs" / "defaults.toml").read_text())
    offer = registry().find(ModelEntry, model)
    _, default = resolve_recipe(offer.entry, offer.load(), "default")
    tried = {}
    for name in list(plan["candidates"][model].values())[-1]:
        parts = {"training": plan["training"]}, plan["trainings"][model][name]
        settings = script.whole_recipe(model, *parts)
        _, tried[name] = resolve_recipe(offer.entry, offer.load(), "default", settings)
    if not default.alternatives:
        assert [*tried.values()] == [default]
        return
    bare = {"alternatives": {}}
    found = {n: default.alternative(n).model_copy(update=bare) for n in default.alternatives}
    assert [*found.items()] == [*tried.items()]


def test_nothing_of_a_sets_own_recipe_is_left(script: ModuleType) -> None:
    found = script.whole_recipe("nade", {"training": {"epochs": 3}}, {"network": {"hidden": 9}})
    assert (found["training.epochs"], found["network.hidden"]) == (3, 9)
    assert found["training.min_steps"] == 0
    assert found["ensemble.num_orderings"] == 1
    assert "training.evaluate_test" not in found
