"""MADE's compiled loops against its blocks, and against autograd."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.layouts import Layout
from arbench_made import compiled, panels
from arbench_made.network import MADE


def layout_of(num_sites: int, size: int, order_seed: int | None) -> Layout:
    spec = EventSpec((num_sites,), Discrete(size))
    return Layout(spec) if order_seed is None else Layout.permuted(spec, order_seed)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled loops as Python reads them: to compile takes seconds."""
    monkeypatch.setattr(compiled, "TILE", 8)
    for module in (compiled, panels):
        for name, own in vars(module).copy().items():
            if name in ("_forward", "_backward", "_take", "_put"):
                monkeypatch.setattr(module, name, functools.partial(on_arrays, own.__wrapped__))
            elif hasattr(own, "py_func"):
                monkeypatch.setattr(module, name, own.py_func)


def on_arrays(function: Callable[..., None], *arguments: Any) -> None:
    """Call it as compiled code is called."""
    function(*(own.detach().numpy() if isinstance(own, Tensor) else own for own in arguments))


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(
    ("size", "order_seed", "hidden"),
    [(2, None, [19]), (2, 3, [16, 5]), (3, 4, [9]), (4, None, [3, 30]), (2, None, [30, 2])],
)
def test_compiled_loops_give_the_values_and_gradients_of_blocks(
    size: int, order_seed: int | None, hidden: list[int], dropout: float
) -> None:
    torch.manual_seed(1)
    layout = layout_of(9, size, order_seed)
    network = MADE(layout, max(size - 1, 1), hidden=hidden, dropout=dropout).double()
    sites, found = torch.randint(size, (5, 9, 1)), []
    for network.forward_kernel in ("blocks", "compiled"):
        torch.manual_seed(4)
        params = network(sites)
        found.append((params, *torch.autograd.grad(params.sin().sum(), [*network.parameters()])))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-13)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("shape", [(6,), (3, 6)])
def test_adding_columns_passes_gradcheck(shape: tuple[int, ...]) -> None:
    stairs = MADE(layout_of(7, 2, 3), 1, hidden=[6]).double()._stairs(1, 0)
    values = torch.tensor([[1, 0, 1, 1, 1, 1, 1], [0] * 7, [0, 0, 0.5, 0, 0, 0, -2]]).double()
    term, weight = (torch.rand(s, dtype=torch.float64).requires_grad_() for s in (shape, (6, 7)))
    assert torch.autograd.gradcheck(
        lambda term, weight: stairs.add_told(term, values, weight), (term, weight)
    )


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("hidden", [[6, 20], [20, 6]])
@pytest.mark.parametrize("num_events", [None, 3])
def test_a_product_in_panels_passes_gradcheck(hidden: list[int], num_events: int | None) -> None:
    network = MADE(layout_of(7, 2, 3), 1, hidden=hidden).double()
    network.forward_kernel = "compiled"
    stairs, weight = network._stairs(2, 1), network.layers[1].weight
    shapes = (hidden[1:] if num_events is None else (num_events, hidden[1]), (3, hidden[0]))
    term, values = (torch.rand(s, dtype=torch.float64).requires_grad_() for s in shapes)
    assert torch.autograd.gradcheck(stairs.add_product, (term, values, weight))


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_compiled_loops_at_real_size_are_as_exact_as_blocks_and_the_same_each_time(
    dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    network = MADE(layout_of(784, 2, None), 1, hidden=[8000]).to(dtype)
    sites, found = (torch.rand(20, 784, 1) < 0.2).long(), []
    for network.forward_kernel in ("blocks", "compiled", "compiled"):
        params = network(sites)
        found.append((params, *torch.autograd.grad(params.sin().mean(), [*network.parameters()])))
    for reference, own, again in zip(*found, strict=True):
        assert torch.equal(own, again)
        scale = reference.abs().max().item()
        torch.testing.assert_close(own, reference, rtol=0, atol=tolerance * scale)


def test_discrete_inputs_alone_have_the_compiled_loops() -> None:
    real = Layout(EventSpec((8,), Real()))
    assert MADE(real, 2, hidden=[40000]).forward_kernels == ("dense", "blocks")
    assert MADE(layout_of(8, 2, None), 1, hidden=[9]).forward_kernels[-1] == "compiled"
