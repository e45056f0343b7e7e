"""PixelCNN's compiled blocks against its convolutions, and against autograd."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from arbench.networks.native import tiles
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout
from arbench_pixelcnn import compiled
from arbench_pixelcnn.blocks import ResidualBlock
from arbench_pixelcnn.network import PixelCNN


def on_arrays(function: Callable[..., None], *arguments: Any) -> None:
    """Call it as compiled code is called."""
    function(*(own.detach().numpy() if isinstance(own, Tensor) else own for own in arguments))


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled loops as Python reads them, and short vectors: to compile takes seconds."""
    monkeypatch.setattr(tiles, "LANES", 4)
    for module in (compiled, tiles):
        monkeypatch.setattr(module, "FEW_LANES", 2)
        for name, own in vars(module).copy().items():
            if name in ("_forward", "_backward"):
                monkeypatch.setattr(module, name, functools.partial(on_arrays, own.__wrapped__))
            elif hasattr(own, "py_func"):
                monkeypatch.setattr(module, name, own.py_func)
    monkeypatch.setattr(compiled, "SHARE", 2)


def network_of(
    num_colours: int, size: tuple[int, int], hidden: int, num_blocks: int, dropout: float = 0.0
) -> PixelCNN:
    """In float64, with biases that matter."""
    torch.manual_seed(0)
    layout = Layout(EventSpec((num_colours, *size), Discrete(3)))
    network = PixelCNN(layout, 2, hidden=hidden, num_blocks=num_blocks, dropout=dropout).double()
    for own in network.parameters():
        own.data += 0.1 * torch.randn_like(own)
    return network


def found_by(network: PixelCNN, kernel: str, sites: Tensor) -> list[Tensor]:
    """Parameters, and the gradients of all weights."""
    network.forward_kernel = kernel
    params = network(sites)
    return [params, *torch.autograd.grad(params.sin().sum(), [*network.parameters()])]


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(
    ("num_colours", "size", "hidden", "num_blocks", "num_pictures"),
    [(1, (3, 4), 3, 2, 5), (3, (2, 5), 4, 1, 1), (1, (1, 1), 2, 3, 2), (2, (4, 1), 2, 2, 3)],
)
def test_compiled_blocks_give_the_values_and_gradients_of_convolutions(
    num_colours: int, size: tuple[int, int], hidden: int, num_blocks: int, num_pictures: int
) -> None:
    network = network_of(num_colours, size, hidden, num_blocks)
    sites = torch.randint(3, (num_pictures, num_colours * size[0] * size[1], 1))
    found = [found_by(network, kernel, sites) for kernel in network.forward_kernels]
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(network(sites), found[0][0], rtol=0, atol=1e-12)
        network.forward_kernel = "convolutions"
        halves = network.features(sites)
        network.forward_kernel = "compiled"
        torch.testing.assert_close(network.features(sites), halves, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("interpreted")
def test_a_unit_of_exactly_0_passes_no_gradient() -> None:
    """Whole weights bring units to 0, where autograd's rectifier has slope 0."""
    torch.manual_seed(2)
    blocks = torch.nn.ModuleList(ResidualBlock(2, 1, 1.0, 0.0) for _ in range(2)).double()
    for own in blocks.parameters():
        own.data = torch.randint(-1, 2, own.shape).double()
    pictures = torch.randint(-1, 2, (3, 4, 3, 3)).double().requires_grad_()
    found = []
    for take in (
        lambda x: functools.reduce(lambda x, block: block(x), blocks, x + 0),
        lambda x: compiled.blocks_compiled(x, [*blocks]),  # type: ignore[list-item]
    ):
        out = take(pictures)
        found.append([out, *torch.autograd.grad(out.sin().sum(), [pictures, *blocks.parameters()])])
    assert (found[0][0] == 0).any()
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)


@pytest.mark.usefixtures("interpreted")
def test_compiled_blocks_drop_units_and_their_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways drop the same units here: those of pixels and units of even numbers."""

    def drop(x: Tensor, probability: float, training: bool) -> Tensor:
        if not training or not probability:
            return x
        is_last = x.shape[1] == 2  # units come last, or second
        by_unit = torch.arange(3) if is_last else torch.arange(3).view(3, 1, 1)
        by_pixel = torch.arange(6).view(2, 3, 1) if is_last else torch.arange(6).view(2, 3)
        return x * (2.0 * ((by_unit + by_pixel) % 2)).to(x)

    for module in ("compiled", "blocks"):
        monkeypatch.setattr(f"arbench_pixelcnn.{module}.unit_dropout", drop)
    network = network_of(1, (2, 3), 3, 2, dropout=0.5)
    sites = torch.randint(3, (3, 6, 1))
    found = [found_by(network, kernel, sites) for kernel in network.forward_kernels]
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)
    network.eval()
    assert not torch.equal(network(sites), found[1][0])


def test_the_units_that_stay_are_as_many_as_they_should_be() -> None:
    torch.manual_seed(0)
    drops, scale = compiled._drops(torch.zeros(10, 8, 8, 16), 5, 8, 8, 0.25)
    assert drops.shape == (10 * 5 * 8, 8 * 16)
    assert scale == pytest.approx(1 / 0.75)
    own = drops.view(-1, 16)
    assert drops.dtype == torch.bool  # a byte a unit, and not four
    assert not own[:, 8:].any()
    assert float(own[:, :8].double().mean()) == pytest.approx(0.75, abs=0.01)
    first, second = drops.view(10, 5, -1)[:, :2].unbind(1)
    assert not torch.equal(first, second)


def test_large_networks_start_with_compiled_blocks() -> None:
    layout = Layout(EventSpec((1, 4, 4), Discrete(2)))
    assert PixelCNN(layout, 1).forward_kernel == "compiled"
    assert PixelCNN(layout, 1, hidden=6, num_blocks=2).forward_kernel == "convolutions"
    assert PixelCNN(layout, 1, num_blocks=0).forward_kernels == ("convolutions",)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize("hidden", [16, 24])
def test_blocks_compiled_at_real_size_are_as_exact_as_convolutions(
    dtype: torch.dtype, tolerance: float, hidden: int
) -> None:
    """And sums are the same however many threads there are."""
    torch.manual_seed(0)
    layout = Layout(EventSpec((1, 28, 28), Discrete(2)))
    network = PixelCNN(layout, 1, hidden=hidden, num_blocks=4).to(dtype)
    sites = (torch.rand(10, 784, 1) < 0.2).long()
    found = [found_by(network, kernel, sites) for kernel in network.forward_kernels]
    for own, other in zip(*found, strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(own, other, rtol=0, atol=tolerance * scale)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    stream = network.first(torch.randn(10, 1, 28, 28, dtype=dtype)).detach().requires_grad_()
    sums = []
    for num_threads in (3, 1):
        torch.set_num_threads(num_threads)
        out = compiled.blocks_compiled(stream, network.blocks)
        own = [*network.blocks.parameters()]  # type: ignore[attr-defined]
        sums.append([out, *torch.autograd.grad(out.sin().sum(), [stream, *own])])
    torch.set_num_threads(before)
    for own, other in zip(*sums, strict=True):
        assert torch.equal(own, other)
