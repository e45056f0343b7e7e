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
from making import untimed

import arbench
from arbench.errors import ArbenchError, CheckpointError
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.runs import loading
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import weights_of

# Model and task: dense, convolutional, recurrent, deep, fitted, of real numbers, and a flow.
FAMILIES = {
    "made": "toy-ising",
    "pixelcnn": "toy-ising",
    "gru": "toy-ising",
    "gpt": "toy-markov",
    "cpt": "toy-ising",
    "rnade": "toy-ar1",
    "tarflow": "toy-ar1",
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
    """A tiny run of each family, without a record, whose hash would refuse every edit at once."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arbench.measure.speed.measure_sampling", untimed)
        for model, task in FAMILIES.items():
            network = registry().find(ModelEntry, model).load()
            tiny = getattr(network, "tiny_hyperparameters", {})
            options = {f"network.{key}": value for key, value in tiny.items()}
            out = tmp_path_factory.mktemp("runs") / model
            found[model] = arbench.run(
                task, model, settings=options, epochs=1, limit=20, device="cpu", out=out
            ).path
            RunFolder(out).record.unlink()
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


def member(shape: list[int], size: int = 2) -> dict[str, Any]:
    """A member in raster order of events of one shape."""
    event = {"shape": shape, "domain": {"kind": "discrete", "size": size}}
    return {"layout": {"event": event, "sites": "dim", "order": None}, "mask_seed": 0}


MOST_DIMS = 1 << 22
BITS = {"neighbours": 0, "smoothing": 1.0}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux only")
@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": [member([MOST_DIMS - n]) for n in range(64)]}, "of the same events"),
        ({"members": [member([MOST_DIMS])] * 4096}, "4,096 members .* more than 4,194,304 dims"),
        ({"members": [member([1 << 15])] * 129}, "129 members .* more than 4,194,304 dims"),
        ({"model": "fvsbn", "hyperparameters": {}, "members": [member([8192])]}, "those of toy-"),
        (
            {"model": "cpt", "hyperparameters": BITS, "members": [member([1 << 16])]},
            r"its events are .*shape=\(65536,\).*, those of toy-ising are .*shape=\(1, 8, 8\)",
        ),
        ({"members": [member([1, 8, 8], size=3)]}, "size=3.*, those of toy-ising are .*size=2"),
    ],
)
def test_events_far_larger_than_the_task_s_are_refused_at_once(
    changes: dict[str, Any], message: str, runs: dict[str, Path]
) -> None:
    path = runs["made"] / "config.json"
    config = path.read_text()
    path.write_text(json.dumps(json.loads(config) | changes))
    started = time.process_time()
    try:
        with pytest.raises(CheckpointError, match=message) as caught:
            arbench.load(runs["made"])
    finally:
        path.write_text(config)
    assert time.process_time() - started < 5
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("shape", "fits"), [([300], True), ([256], False), ([1 << 20], False)])
def test_the_events_of_a_stream_are_as_long_as_the_recipe_s_context(
    shape: list[int], fits: bool, runs: dict[str, Path], tmp_path: Path
) -> None:
    config = json.loads((runs["gpt"] / "config.json").read_text())
    config = changed(config, ("recipe", "stream", "context"), 300)
    config |= {"task": "shakespeare", "members": [member(shape, size=65)]}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    if fits:
        assert RunConfig.read(path).members[0].layout.event.shape == shape
    else:
        with pytest.raises(CheckpointError, match=r"those of shakespeare are .*shape=\(300,\)"):
            RunConfig.read(path)


def test_members_whose_tables_are_far_larger_than_the_weights_are_not_made(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hidden unit, and a degree for each of 128,000 inputs and outputs, in every member."""
    config = json.loads((runs["made"] / "config.json").read_text())
    config |= {"task": "elsewhere", "members": [member([128], size=1000)] * 400}
    config |= {"head": "categorical", "rendering": {"kind": "table"}}
    config["hyperparameters"] |= {"hidden": [1], "direct": False}
    monkeypatch.setattr(loading, "_SMALL_TABLES_BYTES", 1 << 20)
    file = Path("model.safetensors")
    with pytest.raises(CheckpointError, match=r"tables of more than 68,157,440 bytes"):
        weights_of(RunConfig.model_validate(config), file, 1 << 20)
    few = RunConfig.model_validate(config | {"members": config["members"][:50]})
    assert weights_of(few, file, 1 << 20).keys() >= {"layers.0.weight", "layers.1.weight"}
