"""NADE's compiled loop against its blocks, and against autograd."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout
from arbench_nade import compiled
from arbench_nade.kernel import all_sites
from arbench_nade.network import NADE


def loop(
    features: Tensor, weight: Tensor, bias: Tensor, readout: Tensor, readout_bias: Tensor
) -> Tensor:
    """What `all_sites` computes, as a plain loop for autograd."""
    pre, params = bias.expand(len(features), -1), []
    for t in range(features.shape[1]):
        params.append(pre.relu() @ readout[t].T + readout_bias[t])
        pre = pre + features[:, t] @ weight[t]
    return torch.stack(params, 1)


def random_case(
    num_events: int, num_sites: int, num_features: int, num_params: int
) -> tuple[Tensor, list[Tensor]]:
    """Features of which half are 0, and weights for six hidden units; float64."""
    draw = torch.Generator().manual_seed(num_events)
    shapes = ((num_sites, num_features, 6), (6,), (num_sites, num_params, 6))
    features, *weights = (
        torch.randn(shape, generator=draw, dtype=torch.float64)
        for shape in ((num_events, num_sites, num_features), *shapes, (num_sites, num_params))
    )
    return features * (features > 0), [weight.requires_grad_() for weight in weights]


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled loops as Python reads them: to compile takes seconds."""
    for name, own in vars(compiled).copy().items():
        if name in ("_forward", "_backward"):
            monkeypatch.setattr(compiled, name, functools.partial(on_arrays, own.__wrapped__))
        elif hasattr(own, "py_func"):
            monkeypatch.setattr(compiled, name, own.py_func)


def on_arrays(function: Callable[..., None], *arguments: Any) -> None:
    """Call it as compiled code is called."""
    function(*(own.detach().numpy() if isinstance(own, Tensor) else own for own in arguments))


CASES_OF_LOOPS = [(3, 7, 1, 1), (9, 6, 3, 2), (13, 2, 1, 1), (2, 1, 2, 3)]


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("sizes", CASES_OF_LOOPS)
def test_the_compiled_loop_gives_the_values_and_gradients_of_blocks(sizes: Any) -> None:
    features, weights = random_case(*sizes)
    found = []
    for params in (
        all_sites(features, *weights, "relu"),
        compiled.all_sites_compiled(features, *weights),
    ):
        found.append((params, *torch.autograd.grad(params.sin().sum(), weights)))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)


@pytest.mark.usefixtures("interpreted")
def test_the_compiled_loop_passes_gradcheck() -> None:
    features, weights = random_case(2, 4, 1, 1)
    assert torch.autograd.gradcheck(
        lambda *own: compiled.all_sites_compiled(features, *own), weights
    )


@pytest.mark.usefixtures("interpreted")
def test_a_hidden_unit_of_exactly_0_passes_no_gradient_in_the_compiled_loop() -> None:
    """Weights of -1, 0 and 1 bring pre-activations to 0, where autograd's rectifier has slope 0."""
    features, weights = random_case(7, 9, 1, 1)
    features = (features > 0).double()
    weights = [weight.detach().round().clamp(-1, 1).requires_grad_() for weight in weights]
    expected = torch.autograd.grad(loop(features, *weights).sin().sum(), weights)
    params = compiled.all_sites_compiled(features, *weights)
    found = torch.autograd.grad(params.sin().sum(), weights)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_code_compiled_at_real_size_is_as_exact_as_blocks(
    dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    layout = Layout(EventSpec((784,), Discrete(2)))
    network = NADE(layout, 1).to(dtype)
    assert network.forward_kernel == "compiled"
    sites, found = (torch.rand(20, 784, 1) < 0.2).long(), []
    for kernel in network.forward_kernels:
        network.forward_kernel = kernel
        params = network(sites)
        found.append((params, *torch.autograd.grad(params.sin().mean(), [*network.parameters()])))
    for own, other in zip(*found, strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(own, other, rtol=0, atol=tolerance * scale)


def test_large_networks_of_rectifiers_start_with_the_compiled_loop() -> None:
    layout = Layout(EventSpec((784,), Discrete(2)))
    assert NADE(layout, 1, hidden=500).forward_kernel == "compiled"
    assert NADE(layout, 1, hidden=5).forward_kernel == "blocks"
    assert NADE(layout, 1, activation="sigmoid").forward_kernels == ("blocks",)
