"""Which default recipe the other sets choose, and what it costs: `scripts/tune_defaults.py`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

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


def test_nothing_of_a_sets_own_recipe_is_left(script: ModuleType) -> None:
    found = script.whole_recipe("nade", {"training": {"epochs": 3}}, {"network": {"hidden": 9}})
    assert (found["training.epochs"], found["network.hidden"]) == (3, 9)
    assert found["training.min_steps"] == 0
    assert found["ensemble.num_orderings"] == 1
    assert "training.evaluate_test" not in found
