"""What machines read of arbench's output: every key of 0.1.0 is still there; others may come."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import arbench

HERE = Path(__file__).parent
KEYS: dict[str, list[str]] = json.loads((HERE / "json_keys.json").read_text())
COMMANDS = {
    "run": "run --task toy-markov --model bernoulli --limit 99 --device cpu --out {tmp}/n --json",
    "evaluate": "evaluate {text} --task text:{here}/frozen.txt --device cpu --json",
    "compare": "compare {markov} {foreign} --json",
    "verify": "verify {markov} --device cpu --json",
    "bench": "bench {ensemble} --device cpu --batch 2 --method step --out {tmp}/s.json --json",
    "leaderboard": "leaderboard toy-markov --runs {tmp}/v2 --format json",
    "list": "list --json",
}


def keys(value: Any, path: str = "") -> set[str]:
    """All keys of nested JSON, such as "nll.test.total_nats" and "[].rows[].model"."""
    if isinstance(value, dict):
        here = {f"{path}.{key}".lstrip(".") for key in value}
        return here.union(*(keys(inner, f"{path}.{key}") for key, inner in value.items()))
    if isinstance(value, list):
        return set().union(*(keys(inner, f"{path}[]") for inner in value))
    return set()


@pytest.fixture
def places(frozen: Callable[[str], Path], tmp_path: Path) -> dict[str, Path]:
    """Where what the commands name is."""
    names = ("markov", "foreign", "ensemble", "text")
    return {"tmp": tmp_path, "here": HERE} | {name: frozen(f"v2/{name}") for name in names}


@pytest.mark.parametrize("name", COMMANDS)
def test_json_keeps_its_keys(
    name: str, places: dict[str, Path], arbench_json: Callable[..., Any]
) -> None:
    found = keys(arbench_json(*COMMANDS[name].format(**places).split()))
    assert {*KEYS[name]} - found == set()


def test_tables_keep_their_columns(
    places: dict[str, Path], arbench_prints: Callable[..., str]
) -> None:
    runs = places["tmp"] / "v2"
    text = arbench_prints("leaderboard", "toy-markov", "--runs", runs, "--format", "csv")
    wanted = {*KEYS["leaderboard csv"]}
    assert wanted - {*next(csv.reader(text.splitlines()))} == set()
    assert wanted - {*arbench.leaderboard("toy-markov", runs=runs)} == set()
