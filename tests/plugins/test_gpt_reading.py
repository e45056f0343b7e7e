"""GPT's compiled reading of many sites against torch's, and its short functions against math's."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch
from torch import Tensor

from arbench.networks.native import functions, tiles
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout
from arbench_gpt import reading
from arbench_gpt.network import GPT

VARIANTS = [
    {},
    {"mlp": "swiglu", "bias": False},
    {"positions": "learned", "num_heads": 1},
    {"coordinates": True, "ordinal": True, "num_layers": 1},
]


def on_arrays(function: Callable[..., None], *arguments: Any) -> None:
    """Call it as compiled code is called."""
    function(*(own.detach().numpy() if isinstance(own, Tensor) else own for own in arguments))


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled loops as Python reads them, and short vectors: to compile takes seconds."""
    monkeypatch.setenv("ARBENCH_KERNEL", "native")
    for module in (reading, tiles, functions):
        if hasattr(module, "LANES"):
            monkeypatch.setattr(module, "LANES", 4)
        for name, own in vars(module).copy().items():
            if name == "_read":
                monkeypatch.setattr(module, name, functools.partial(on_arrays, own.__wrapped__))
            elif hasattr(own, "py_func"):
                monkeypatch.setattr(module, name, own.py_func)


def network_of(num_sites: int, **options: Any) -> GPT:
    """In float64, with weights that let every effect be seen."""
    layout = Layout(EventSpec((num_sites,), Discrete(3)))
    options = {"num_layers": 2, "width": 8, "num_heads": 2, **options}
    network = GPT(layout, 3, **options).double().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.5 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    return network


def sites_of(num_events: int, num_sites: int) -> Tensor:
    return torch.randint(3, (num_events, num_sites, 1), generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def require_equal(network: GPT, sites: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of `forward`, of its tails, and of `features` are those of torch."""
    found = []
    for kernel in ("python", "native"):
        monkeypatch.setenv("ARBENCH_KERNEL", kernel)
        tails = [network.tail_params(sites, first) for first in range(sites.shape[1])]
        found.append([network(sites), *tails, network.features(sites)])
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("options", VARIANTS)
def test_reading_gives_the_values_of_torch(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_equal(network_of(9, **options), sites_of(2, 9), monkeypatch)


@pytest.mark.usefixtures("interpreted")
@torch.no_grad()
def test_scores_of_thousands_are_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their exponentials would be; so the largest one, wherever it is, is taken away first."""
    network, sites = network_of(9), sites_of(3, 9)
    for block in network.blocks:
        block.get_submodule("qkv").weight.mul_(40)
    found = []
    for kernel in ("python", "native"):
        monkeypatch.setenv("ARBENCH_KERNEL", kernel)
        found.append(network(sites))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-8)


@pytest.mark.usefixtures("interpreted")
def test_a_gradient_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops know none, so they are not taken where one is asked for."""
    network, sites = network_of(3), sites_of(2, 3)
    found = []
    for kernel in ("python", "native"):
        monkeypatch.setenv("ARBENCH_KERNEL", kernel)
        found.append(torch.autograd.grad(network(sites).sin().sum(), [*network.parameters()]))
    assert all(own.abs().max() > 0 for own in found[1])
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


@pytest.mark.usefixtures("interpreted")
@torch.no_grad()
def test_what_is_dropped_in_training_mode_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    network, sites = network_of(3, dropout=0.5).train(), sites_of(2, 3)
    found = []
    for kernel in ("python", "native"):
        monkeypatch.setenv("ARBENCH_KERNEL", kernel)
        torch.manual_seed(0)
        found.append(network(sites))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("num_events", [2, 5])
@torch.no_grad()
def test_a_native_prefix_leaves_what_the_python_one_leaves(
    num_events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of weights in rows, and, from four events on, in panels."""
    monkeypatch.setattr(tiles, "ROWS", 4)
    network, sites = network_of(9), sites_of(num_events, 6)
    native = network.native_step(num_events)
    assert native is not None
    assert native.prefill is not None
    state = tuple(torch.zeros(num_events, *own, dtype=torch.float64) for own in native.state)
    native.prefill(state, sites)
    expected = network.prefill(network.init_state(num_events), sites)
    for layer, cache in enumerate(expected.caches):
        for own, found in zip(state, (cache.keys, cache.values), strict=False):
            torch.testing.assert_close(own[:, layer, :, :6], found[:, :, :6], rtol=0, atol=1e-12)
            assert not own[:, layer, :, 6:].any()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("options", VARIANTS)
@torch.no_grad()
def test_compiled_reading_gives_the_values_of_torch(
    options: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those of an event are the same in any batch and with any number of threads."""
    network = network_of(37, **{"width": 32, "num_heads": 4, **options})
    for weight in network.parameters():
        weight.mul_(0.5)
    network, sites = network.to(dtype), sites_of(5, 37)
    monkeypatch.setenv("ARBENCH_KERNEL", "python")
    expected = network(sites)
    monkeypatch.setenv("ARBENCH_KERNEL", "native")
    before, found = torch.get_num_threads(), []
    try:
        for num_threads in (1, 2, 3):
            torch.set_num_threads(num_threads)
            found.append(network(sites))
    finally:
        torch.set_num_threads(before)
    allowed = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(found[0], expected, rtol=0, atol=allowed)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[0][3:4], network(sites[3:4]))


def test_short_functions_are_right_to_the_last_digits() -> None:
    """Compiled for float32; by what share of the result, or of x, they are off."""

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def found(x: Any, out: Any) -> None:
        for i in range(len(x)):
            out[0, i] = functions.near_exp(-abs(x[i]))
            out[1, i] = functions.near_sigmoid(x[i])
            out[2, i] = functions.near_gelu(x[i])

    x = np.concatenate([np.linspace(-80, 80, 4001), np.linspace(-6, 6, 4001)]).astype(np.float32)
    out = np.empty((3, len(x)), np.float32)
    found(x, out)
    wide = x.astype(np.float64)
    exact = np.exp(-np.abs(wide))
    assert np.abs(out[0] / exact - 1).max() < 4e-7
    sigmoid = np.where(wide > 0, 1 / (1 + exact), exact / (1 + exact))
    assert np.abs(out[1] - sigmoid).max() < 1e-7
    gelu = wide * np.array([0.5 * math.erfc(-own / math.sqrt(2)) for own in wide])
    assert (np.abs(out[2] - gelu) <= 2e-7 * np.abs(wide)).all()
