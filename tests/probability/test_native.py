"""Native steps: equal samples for equal noise, whoever computes them, and a way without them."""

from __future__ import annotations

import importlib
import importlib.util
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import pytest
import torch
from native_cases import BINARY, REAL, TINY, TOLERANCE, ZOO, Case, model_of, num_at_edges
from torch import Tensor

import arbench
from arbench.errors import ConfigError
from arbench.measure.speed import measure_sampling
from arbench.probability.ensemble import Ensemble
from arbench.probability.heads import Bernoulli
from arbench.probability.heads.tempered import at_temperature
from arbench.probability.model import Model
from arbench.probability.native.step import (
    kept_on_disk,
    native_step_of,
    numba_is_there,
    only_python,
)
from arbench.show.record_tables import speed_table

# Modules that import Numba, or what does.
COMPILED = (".native", ".native_weights", ".vectors", ".functions", ".tiles", ".walk")
COMPILED += (".compiled", ".panels", ".reading")
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


@pytest.fixture(autouse=True)
def _native(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests take Python steps; see `conftest.py`."""
    monkeypatch.delenv("ARBENCH_KERNEL", raising=False)


@pytest.fixture
def interpreted() -> Iterator[None]:
    """Native steps go through Python's interpreter: the same sources, and nothing to compile."""
    imported = [name for name in sys.modules if name.endswith(COMPILED)]
    kept = {name: sys.modules.pop(name) for name in imported if name.startswith("arbench")}
    numba.config.DISABLE_JIT = True
    yield
    numba.config.DISABLE_JIT = False
    for name in [n for n in sys.modules if n.endswith(COMPILED)]:
        if name.startswith("arbench"):
            del sys.modules[name]
    sys.modules.update(kept)


def both(model: Model, noise: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """Samples of that noise by the native kernel and by Python's."""
    assert model.kernel("step", len(noise)) == "native"
    native = model.sample(len(noise), noise=noise, method="step", **options)
    with only_python():
        assert model.kernel("step", len(noise)) == "python"
        return native, model.sample(len(noise), noise=noise, method="step", **options)


def require_equal(model: Model, num_events: int, dtype: torch.dtype) -> int:
    noise = model.draw_noise(num_events, torch.Generator().manual_seed(1))
    at_edges = 0
    for own in noise.split(250 if num_events == 1000 else num_events):  # keys and values are large
        native, python = both(model, own)
        assert native.dtype == python.dtype
        assert native.shape == python.shape
        at_edges += num_at_edges(model, own, native, python, TOLERANCE[dtype])
    return at_edges


@pytest.mark.parametrize("case", TINY.values(), ids=TINY)
@DTYPES
@pytest.mark.usefixtures("interpreted")
def test_native_steps_say_what_steps_say(case: Case, dtype: torch.dtype) -> None:
    model = model_of(case, dtype)
    # The last batch of events is smaller than those before it.
    require_equal(model, 11, dtype)
    assert len({*map(tuple, model.sample(11).flatten(1).tolist())}) > 1, "nothing varies"


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("name", ["gpt", "gpt-letters", "lstm-letters", "lstm"])
def test_events_that_share_weights_in_panels_are_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = importlib.import_module("arbench.networks.native.tiles")
    monkeypatch.setattr(tiles, "LANES", 2)
    model = model_of(TINY[name], torch.float64)
    native = model.network.native_step(7)  # type: ignore[operator]
    assert native.num_events == 8  # so three are left over
    dims = {own.dim() for own in tensors_of(native.weights)}
    assert 4 in dims, "no matrices are in panels"
    require_equal(model, 7, torch.float64)


def tensors_of(weights: tuple[Any, ...]) -> list[Tensor]:
    nested = [tensors_of(own) if isinstance(own, tuple) else [own] for own in weights]
    return [tensor for own in nested for tensor in own if isinstance(tensor, Tensor)]


def test_compiled_samples_equal_those_of_python() -> None:
    model = model_of(TINY["nade"])
    at_edges = require_equal(model, 2000, torch.float32)
    assert at_edges <= 2, "so many are no accident"
    # Which events go side by side does not depend on the number of threads.
    noise = model.draw_noise(50, torch.Generator().manual_seed(2))
    one = model.sample(50, noise=noise)
    torch.set_num_threads(3)
    assert torch.equal(one, model.sample(50, noise=noise))
    torch.set_num_threads(1)
    # What is given stays, and what follows it is what Python makes of it.
    given, known = model.sample(50), torch.arange(12).view(1, 3, 4) < 7
    native, python = both(model, noise, given=given, known=known)
    assert torch.equal(native, python)
    assert torch.equal(native[:, known], given[:, known])
    assert not torch.equal(native, one)
    # Somebody who watches sees the same samples, and how far they are.
    seen: list[tuple[int, int]] = []
    watched = model.sample(50, noise=noise, progress=lambda *both: seen.append(both))
    assert torch.equal(watched, one)
    assert seen == sorted(seen)
    assert seen[-1] == (12, 12)


@pytest.mark.slow
@pytest.mark.parametrize("case", TINY.values(), ids=TINY)
@DTYPES
def test_ten_thousand_tiny_events(case: Case, dtype: torch.dtype) -> None:
    at_edges = require_equal(model_of(case, dtype), 10_000, dtype)
    print(f"{at_edges} of 10,000 part at an edge")
    assert at_edges <= (20 if dtype == torch.float32 else 0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", REAL.values(), ids=REAL)
@DTYPES
def test_a_thousand_events_of_real_size(case: Case, dtype: torch.dtype) -> None:
    model = model_of(case, dtype, size=0.02)
    num_events = 1000 if model.layout.num_sites <= 784 else 100
    at_edges = require_equal(model, num_events, dtype)
    print(f"{at_edges} of {num_events:,} part at an edge")
    assert at_edges <= (num_events // 20 if dtype == torch.float32 else 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt", "lstm", "nade"])
def test_samples_do_not_depend_on_who_shares_weights(name: str) -> None:
    """Events go together by as many as threads leave, and a batch of its own is one more way."""
    model = model_of(REAL[name], size=0.02)
    noise = model.draw_noise(22, torch.Generator().manual_seed(1))
    found = []
    for num_threads in (1, 3):
        torch.set_num_threads(num_threads)
        found.append(model.sample(22, noise=noise))
    torch.set_num_threads(1)
    assert torch.equal(*found)
    assert torch.equal(model.sample(5, noise=noise[6:11]), found[0][6:11])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ZOO)
def test_trained_models(name: str) -> None:
    model = arbench.load(name)
    assert isinstance(model, Model)
    num_events = 1000 if model.layout.num_sites <= 784 else 50
    at_edges = require_equal(model, num_events, torch.float32)
    print(f"{at_edges} of {num_events:,} part at an edge")
    assert at_edges <= num_events // 20


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("name", ["gpt-places", "lstm-letters"])
def test_what_is_given_is_read_by_one_forward(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(TINY[name], torch.float64)
    noise = model.draw_noise(6, torch.Generator().manual_seed(4))
    given = model.sample(6)
    count = torch.arange(model.layout.num_sites).view(1, -1, 1)
    known = model.layout.to_events(count < 5)[0]
    native, python = both(model, noise, given=given, known=known)
    assert torch.equal(native, python)
    assert torch.equal(native[:, known], given[:, known])
    assert not torch.equal(native, model.sample(6, noise=noise))
    # Steps through what is given say the same; so does somebody's progress.
    seen: list[tuple[int, int]] = []
    parts = model.network.native_step(6)  # type: ignore[operator]
    stepping = parts._replace(prefill=None)
    monkeypatch.setattr(model.network, "native_step", lambda batch_size: stepping)
    options = {"given": given, "known": known}
    stepped = model.sample(6, noise=noise, progress=lambda *own: seen.append(own), **options)
    assert torch.equal(native, stepped)
    assert seen[-1] == (model.layout.num_sites,) * 2


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("name", ["nade", "nade-letters"])
def test_a_temperature_divides_what_both_draw_from(name: str) -> None:
    model = model_of(TINY[name], torch.float64)
    noise = model.draw_noise(20, torch.Generator().manual_seed(3))
    cold = at_temperature(model, 0.3)
    assert isinstance(cold, Model)
    native, python = both(cold, noise)
    assert torch.equal(native, python)
    assert not torch.equal(native, model.sample(20, noise=noise))


@pytest.mark.usefixtures("interpreted")
def test_what_is_timed_says_which_kernel_it_was() -> None:
    model = model_of(TINY["fvsbn"])
    for density in (model, Ensemble([model, model_of(TINY["fvsbn-permuted"])])):
        rows = measure_sampling(density, methods=["step", "whole"], batch_sizes=[2], repeats=1)
        assert [row.kernel for row in rows] == ["native", "python"]
        assert "step, native" in {row[0] for row in speed_table([rows[0].model_dump()]).rows}
        with only_python():
            rows = measure_sampling(density, methods=["step"], batch_sizes=[2], repeats=1)
        assert rows[0].kernel == "python"


def test_what_has_no_native_form_takes_python_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(TINY["nade"])
    sites = torch.zeros(2, 12, 1, dtype=torch.int64)
    assert native_step_of(model.network, model.head, sites) is not None
    assert model.kernel("whole", 2) == "python"
    assert model_of(TINY["nade"], torch.bfloat16).kernel("step", 2) == "python"
    assert model_of(("nade", BINARY, None, {"tied": False})).kernel("step", 2) == "python"

    class Upside(Bernoulli):
        def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
            return 1 - super().draw(params, prepared)

    class Downside(type(model.network)):  # type: ignore[misc]
        def step(self, *arguments: Any) -> Any:
            return super().step(*arguments)

    for network, head in (
        (model.network, Upside(model.layout)),
        (Downside(model.layout, 1), model.head),
    ):
        assert Model(network, head, model.layout).kernel("step", 2) == "python"
    monkeypatch.setenv("ARBENCH_KERNEL", "python")
    assert model.kernel("step", 2) == "python"
    monkeypatch.setenv("ARBENCH_KERNEL", "nativ")
    with pytest.raises(ConfigError, match="'nativ', expected 'python' or 'native'"):
        model.sample(2)


def test_without_numba_python_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(TINY["nade"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    numba_is_there.cache_clear()
    try:
        assert model.kernel("step", 3) == "python"
        assert model.sample(3).shape == (3, 1, 3, 4)
    finally:
        numba_is_there.cache_clear()


def test_a_full_disk_costs_compiled_code_its_copy_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "doubling.py").write_text("def double(value):\n    return 2 * value\n")
    monkeypatch.syspath_prepend(tmp_path)
    doubled = kept_on_disk(importlib.import_module("doubling").double)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        found = [doubled(3), doubled(2.5)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found == [6, 5.0]
    assert not list(tmp_path.rglob("*.nbc"))  # nothing could be kept
    assert doubled(3 + 0j) == 6
    assert list(tmp_path.rglob("*.nbc"))
