"""Every kept board with a Chow-Liu tree has a model that is better by far more than chance."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
UCI = ("uci-dna", "uci-mushrooms", "uci-nips")
DENSITY = ("nltcs", "plants", "baudio", "jester", "bnetflix", "pumsb-star")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "beside_chow_liu.py"
    location = importlib.util.spec_from_file_location("beside_chow_liu", path)
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    return module


def test_the_best_model_of_every_set_is_five_paired_errors_better_than_a_tree(
    script: ModuleType,
) -> None:
    errors = {result.record.task.name: gap.z for result, gap in script.differences()}
    assert errors.keys() >= {*UCI, *(f"density-{name}" for name in DENSITY)}
    assert not [task for task, z in errors.items() if z < 5]


def test_the_page_of_the_tree_shows_what_the_script_prints(script: ModuleType) -> None:
    page = (ROOT / "plugins" / "arbench_chow_liu" / "README.md").read_text()
    assert script.table() in page, "put what scripts/beside_chow_liu.py prints into the page"
