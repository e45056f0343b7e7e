"""A configuration from a stranger: whatever it says, it loads or is refused, in little memory."""

from __future__ import annotations

import contextlib
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import arbench
from arbench.errors import ArbenchError, CheckpointError
from arbench.experiment import run as run_module
from arbench.registry.manager import registry

# Model and task: dense, convolutional, recurrent, deep, fitted, and of real numbers.
FAMILIES = {
    "made": "toy-ising",
    "pixelcnn": "toy-ising",
    "gru": "toy-ising",
    "gpt": "toy-markov",
    "cpt": "toy-ising",
    "rnade": "toy-ar1",
}
LARGEST = (1 << 20) - 1  # that any setting may be
numbers = st.sampled_from(
    [0, -1, 1, 3, 300, LARGEST, 1 << 31, 1 << 63, 10**30, 0.5, 1e300, float("nan"), float("inf")]
)
words = st.sampled_from(
    ["", "os:system", "__class__", "../made", "made", "bernoulli", "table", "pixel", "\0", "é" * 99]
)
leaves = st.none() | st.booleans() | numbers | words
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
) | st.builds(lambda leaf, times: [leaf] * times, leaves, st.sampled_from([50, 3000]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny run of each family."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "measure_sampling", lambda *arguments, **options: [])
        for model, task in FAMILIES.items():
            network = registry().model(model).load()
            tiny = getattr(network, "tiny_hyperparameters", {})
            options = {f"network.{key}": value for key, value in tiny.items()}
            out = tmp_path_factory.mktemp("runs") / model
            found[model] = arbench.run(
                task, model, settings=options, epochs=1, limit=20, device="cpu", out=out
            ).path
    return found


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A quarter of a gigabyte beyond what this process has already."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (256 << 20), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def places(document: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where in a JSON document a value stands, the innermost ones included."""
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in pairs:
        yield (*before, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*before, key))


def changed(config: dict[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(config))
    parent = copy
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return copy


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux only")
@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("model", FAMILIES)
def test_it_loads_or_is_refused_in_little_memory(model: str, runs: dict[str, Path]) -> None:
    path = runs[model] / "config.json"
    config = json.loads(path.read_text())
    hyperparameters = [("hyperparameters", key) for key in config["hyperparameters"]]
    anywhere = [*places(config), ("surprise",), ("recipe", "training", "__init__")]

    @settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(
        st.sampled_from(hyperparameters) | st.sampled_from(anywhere)
        if hyperparameters
        else st.sampled_from(anywhere),
        values,
    )
    def attack(place: tuple[str | int, ...], value: Any) -> None:
        path.write_text(json.dumps(changed(config, place, value)))
        started = time.process_time()
        with contextlib.suppress(ArbenchError):
            arbench.load(runs[model])
        assert time.process_time() - started < 5

    try:
        attack()
    finally:
        path.write_text(json.dumps(config))
    assert isinstance(arbench.load(runs[model]), torch.nn.Module)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("gpt", "num_layers"),
        ("gru", "num_layers"),
        ("pixelcnn", "hidden"),
        ("pixelcnn", "num_blocks"),
    ],
)
def test_a_network_far_larger_than_its_file_is_never_built(
    model: str, key: str, runs: dict[str, Path]
) -> None:
    path = runs[model] / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(changed(config, ("hyperparameters", key), LARGEST)))
    started = time.process_time()
    try:
        with pytest.raises(CheckpointError, match="asks for more weights than there are in its"):
            arbench.load(runs[model])
    finally:
        path.write_text(json.dumps(config))
    assert time.process_time() - started < 5


def test_a_setting_is_no_endless_list(runs: dict[str, Path]) -> None:
    path = runs["made"] / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(changed(config, ("hyperparameters", "hidden"), [1] * 3000)))
    try:
        with pytest.raises(ArbenchError, match="hidden has 3,000 values, expected at most 256"):
            arbench.load(runs["made"])
    finally:
        path.write_text(json.dumps(config))
