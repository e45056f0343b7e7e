"""PixelCNN and gated PixelCNN: who sees whom, by masks, gradients and a slow convolution."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from arbench.networks.masked import MaskedConv, colours_of
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.conformance import CHECKS, run_check, subjects
from arbench_pixelcnn.gated import GatedPixelCNN
from arbench_pixelcnn.inputs import Inputs, doubling_knots, perturbed
from arbench_pixelcnn.network import PixelCNN

KINDS = {"pixelcnn": PixelCNN, "gated": GatedPixelCNN}
TINY = {
    "pixelcnn": PixelCNN.tiny_hyperparameters,
    "gated": GatedPixelCNN.tiny_hyperparameters,
}


def make_layout(*shape: int, size: int = 2) -> Layout:
    return Layout(EventSpec(shape, Discrete(size)))


def make_network(kind: str, layout: Layout, num_params: int = 2, **options: object) -> nn.Module:
    """A float64 network with random biases too."""
    torch.manual_seed(0)
    network: nn.Module = KINDS[kind](layout, num_params, **(TINY[kind] | options))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("bias") or name == "places":
                weight.normal_(std=0.5)
    return network.double().eval()


def seen(network: nn.Module, layout: Layout, site: int) -> set[int]:
    """The sites whose values reach a site's parameters, by gradients at several random inputs."""
    torch.manual_seed(1)
    sites = torch.randn(16, layout.num_sites, 1, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(sites)[:, site].sum(), sites)
    return set(gradient.abs().sum((0, 2)).nonzero().flatten().tolist())


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize(("above", "reach"), [(0, 0), (0, 2), (1, 1), (3, 2)])
def test_a_convolution_reads_exactly_what_its_mask_allows(
    above: int, reach: int, kind: str
) -> None:
    """Against loops over positions and units, by gradients of every output."""
    inputs, outputs = colours_of(3, 3), colours_of(3, 3, repeats=2)
    layer = MaskedConv(inputs, outputs, above=above, reach=reach, kind=kind).double()  # type: ignore[arg-type]
    height, width, row, column = 5, 6, 3, 2
    pictures = torch.randn(1, 3, height, width, dtype=torch.float64, requires_grad=True)
    for unit, colour in enumerate(outputs.tolist()):
        (gradient,) = torch.autograd.grad(layer(pictures)[0, unit, row, column], pictures)
        expected = torch.zeros(3, height, width, dtype=torch.bool)
        for c, i, j in itertools.product(range(3), range(height), range(width)):
            near = row - above <= i and abs(j - column) <= reach
            own = c < colour or (kind == "B" and c == colour)
            expected[c, i, j] = near and (
                i < row or (i == row and (j < column or (j == column and own)))
            )
        assert torch.equal(gradient[0] != 0, expected)


def test_a_convolution_is_a_sum_over_what_it_reads() -> None:
    colours = colours_of(4, 2)
    layer = MaskedConv(colours, colours, above=2, reach=1, kind="B").double()
    pictures = torch.randn(2, 4, 4, 3, dtype=torch.float64)
    kernel, bias = layer.masked.detach().numpy(), layer.bias
    assert bias is not None
    bias = bias.detach()
    expected = np.zeros((2, 4, 4, 3)) + bias.numpy()[:, None, None]
    for i, j, a, b in itertools.product(range(4), range(3), range(3), range(3)):
        row, column = i - 2 + a, j - 1 + b
        if row >= 0 and 0 <= column < 3:
            expected[:, :, i, j] += pictures[:, :, row, column].numpy() @ kernel[:, :, a, b].T
    np.testing.assert_allclose(layer(pictures).detach().numpy(), expected, atol=1e-12)


def test_masked_weights_get_no_gradient_and_are_not_touched() -> None:
    colours = colours_of(6, 3)
    layer = MaskedConv(colours, colours, above=1, reach=1, kind="A")
    before = layer.weight.detach().clone()
    layer(torch.randn(2, 6, 4, 4)).square().sum().backward()
    gradient = layer.weight.grad
    assert gradient is not None
    assert torch.equal(gradient != 0, layer.mask.bool())
    assert torch.equal(layer.weight, before)
    assert (before[~layer.mask.bool()] != 0).all()
    assert set(layer.state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("encoding", ["scalar", "one-hot", "ramps"])
@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 5, 4), (2, 1, 3), (1, 3, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_step_equals_forward(kind: str, shape: tuple[int, ...], encoding: str) -> None:
    layout = make_layout(*shape, size=4)
    # Seven units are no multiple of three colours; five columns are wider than the picture.
    width = {"hidden": 7} if kind == "pixelcnn" else {"channels": 7}
    network = make_network(kind, layout, encoding=encoding, first_kernel=5, **width)
    sites = torch.randint(4, (3, layout.num_sites, 1))
    state, previous = network.init_state(3), None  # type: ignore[operator]
    for t, expected in enumerate(network(sites).unbind(1)):
        params, state = network.step(state, previous, t)  # type: ignore[operator]
        torch.testing.assert_close(params, expected, rtol=0, atol=1e-12)
        previous = sites[:, t]


@pytest.mark.parametrize("kind", KINDS)
def test_samplers_agree(kind: str) -> None:
    layout = make_layout(3, 4, 4, size=4)
    head = natural_head(layout)
    model = Model(make_network(kind, layout, head.num_params), head, layout)
    noise = model.draw_noise(6, torch.Generator().manual_seed(3))
    slow = model.sample(6, noise=noise, method="whole")
    assert torch.equal(model.sample(6, noise=noise, method="step"), slow)


@pytest.mark.parametrize("kind", KINDS)
def test_places_are_added_at_every_pixel_alike_in_steps_and_forward(kind: str) -> None:
    """Without what reads values, parameters are those of the place: here of one pixel on."""
    layout = make_layout(3, 4, 5, size=4)
    network = make_network(kind, layout, places=True)
    assert isinstance(network, PixelCNN | GatedPixelCNN)
    assert network.places is not None
    sites = torch.randint(4, (3, layout.num_sites, 1))
    state, previous = network.init_state(3), None
    for t, expected in enumerate(network(sites).unbind(1)):
        params, _ = network.step(state, previous, t)
        torch.testing.assert_close(params, expected, rtol=0, atol=1e-12)
        previous = sites[:, t]
    pictures = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        if isinstance(network, PixelCNN):
            network.first.weight.zero_()
        else:
            network.layers[0].vertical.weight.zero_()
            network.layers[0].horizontal.weight.zero_()
        network.places.zero_()
        network.places[:, 2, 3] = 1.0
        there = network.stream(pictures)
        network.places.zero_()
        moved = (there - network.stream(pictures)).abs().sum((0, 1)) > 0
    assert (there - there[:1]).abs().max() < 1e-12
    assert not moved[:2].any()
    # The vertical stack sees the row above as far as its kernels reach: two layers of width 3.
    assert moved[2].tolist() == [False, kind == "gated", kind == "gated", True, True]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", ["causality", "influence"])
def test_colours_see_all_earlier_ones(kind: str, check: str) -> None:
    """On one row there is no blind spot: of both models nothing is declared here."""
    subject = subjects(KINDS[kind])["colour-1x2 raster"]
    assert run_check(check, "colour-1x2", subject).status == "passed"
    assert check in CHECKS


@pytest.mark.parametrize("first_kernel", [3, 5, 7])
def test_pixelcnn_sees_a_cone_and_misses_the_rest(first_kernel: int) -> None:
    """One column to the right for a row up; in one step, the first kernel goes half its width."""
    layout = Layout(EventSpec((1, 6, 6), Real()))
    # Twelve layers reach everywhere in a picture of six by six, as far as masks allow.
    network = make_network("pixelcnn", layout, hidden=12, num_blocks=12, first_kernel=first_kernel)
    wider = first_kernel // 2 - 1
    for row, column in itertools.product(range(6), range(6)):
        expected = {
            6 * i + j
            for i, j in itertools.product(range(row + 1), range(6))
            if (i == row and j < column) or (i < row and j <= column + (row - i) + wider)
        }
        assert seen(network, layout, 6 * row + column) == expected
    assert len(seen(network, layout, 30)) < 30


@pytest.mark.parametrize("num_blocks", [0, 1, 2])
def test_each_block_widens_what_pixelcnn_sees_by_one(num_blocks: int) -> None:
    """Mask arithmetic: the sums of one offset of the first kernel and one per block."""
    layout = Layout(EventSpec((1, 9, 13), Real()))
    network = make_network("pixelcnn", layout, hidden=12, num_blocks=num_blocks, first_kernel=5)
    first = {(i, j) for i in (-2, -1) for j in range(-2, 3)} | {(0, -2), (0, -1)}
    block = {(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0)}
    reached = first
    for _ in range(num_blocks):
        reached = {(i + a, j + b) for (i, j), (a, b) in itertools.product(reached, block)}
    expected = {13 * (6 + i) + 6 + j for i, j in reached}
    assert seen(network, layout, 13 * 6 + 6) == expected


def test_gated_pixelcnn_has_no_blind_spot() -> None:
    layout = Layout(EventSpec((1, 5, 5), Real()))
    network = make_network("gated", layout, num_layers=4)
    for site in range(layout.num_sites):
        assert seen(network, layout, site) == set(range(site))


@pytest.mark.parametrize("num_layers", [1, 2])
def test_gated_pixelcnn_sees_rectangles_that_grow(num_layers: int) -> None:
    layout = Layout(EventSpec((1, 9, 13), Real()))
    network = make_network("gated", layout, num_layers=num_layers, first_kernel=5)
    far = 2 + num_layers
    expected = {13 * i + j for i in range(6 - far, 6) for j in range(6 - far, 7 + far)}
    # What is at the left listens to the vertical stack too, so to the left more is seen.
    found = seen(network, layout, 13 * 6 + 6)
    assert expected | {13 * 6 + j for j in range(6 - far, 6)} <= found
    assert max(site % 13 for site in found) == 6 + far
    assert min(site // 13 for site in found) == 6 - far


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(kind: str) -> None:
    layout = make_layout(3, 4, 4, size=4)
    network = make_network(kind, layout)
    network(torch.randint(4, (8, 48, 1))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_builds_on_the_meta_device(kind: str) -> None:
    layout = make_layout(3, 4, 4, size=4)
    with torch.device("meta"):
        network = KINDS[kind](layout, 4)
    assert all(p.is_meta for p in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("layout", "options", "message"),
    [
        (Layout(EventSpec((5,), Discrete(2))), {}, "images in raster order"),
        (Layout.permuted(EventSpec((1, 3, 3), Discrete(2)), 0), {}, "images in raster order"),
        (Layout(EventSpec((3, 2, 2), Discrete(2)), sites="pixel"), {}, "set layout.sites to 'dim'"),
        (Layout(EventSpec((1, 2, 2), Real())), {"encoding": "one-hot"}, "needs discrete data"),
        (make_layout(1, 2, 2), {"encoding": "binary"}, "'scalar', 'one-hot' or 'ramps'"),
        (make_layout(1, 2, 2), {"knots": [1]}, "knots are for encoding='ramps', got 'scalar'"),
        *(
            (make_layout(1, 2, 2, size=9), {"encoding": "ramps", "knots": knots}, "between 0 and 8")
            for knots in ([0], [8], [4, 4], [4, 2], [-1], [9])
        ),
        (make_layout(1, 2, 2), {"first_kernel": 4}, "odd and at least 3"),
        (make_layout(3, 2, 2), {"outputs": 2}, "one unit for each of 3 colours"),
        (make_layout(1, 2, 2), {"dropout": 1.0}, "probability below 1"),
        (make_layout(1, 2, 2), {"input_noise": 1.5}, "share of the range, got 1.5"),
        (Layout(EventSpec((1, 2, 2), Real())), {"input_noise": 0.1}, "needs discrete data"),
    ],
)
def test_what_it_cannot_do_is_refused(
    kind: str, layout: Layout, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        KINDS[kind](layout, 1, **options)  # type: ignore[arg-type]


def test_ramps_are_finer_towards_both_ends() -> None:
    assert doubling_knots(2) == []
    assert doubling_knots(5) == [1, 3]
    assert doubling_knots(256) == [1, 2, 4, 8, 16, 32, 64, 191, 223, 239, 247, 251, 253, 254]


@pytest.mark.parametrize("knots", [None, [100], []])
def test_ramps_are_straight_between_knots(knots: list[int] | None) -> None:
    inputs = Inputs(make_layout(1, 2, 2, size=256), "ramps", knots)
    units = inputs.encoded(torch.arange(256)[:, None], torch.float64)
    ends = [0, *(doubling_knots(256) if knots is None else knots), 255]
    assert units.shape == (256, len(ends) - 1)
    for unit, (low, high) in enumerate(itertools.pairwise(ends)):
        expected = np.interp(np.arange(256), [low, high], [-1, 1])
        np.testing.assert_allclose(units[:, unit], expected, atol=1e-12)


def test_half_of_the_events_are_disturbed_within_a_radius() -> None:
    torch.manual_seed(0)
    values = torch.full((4000, 50, 1), 100)
    moves = (perturbed(values, 256, 0.2) - values)[..., 0]
    radius = moves.abs().amax(1)
    assert 48 < radius.max() <= 51  # a fifth of 255
    assert (radius == 0).double().mean() == pytest.approx(0.5, abs=0.03)
    disturbed = moves[radius > 0].double()
    assert disturbed.mean() == pytest.approx(0, abs=0.3)
    # A uniform radius, uniform moves: the variance is 51^2 / 9, and 1/12 of rounding.
    assert disturbed.var() == pytest.approx(51**2 / 9, rel=0.05)
    ends = perturbed(torch.tensor([0, 255]).view(1, 2, 1).expand(100, 2, 1), 256, 1.0)
    assert ends.min() == 0
    assert ends.max() == 255
    assert len(ends.unique()) > 20


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_for_training_alone(kind: str) -> None:
    layout = make_layout(1, 4, 4, size=256)
    network = make_network(kind, layout, input_noise=0.5)
    sites = torch.randint(256, (20, 16, 1))
    expected = network(sites)
    assert torch.equal(network(sites), expected)
    trained = network.train()(sites)
    alike = (trained - expected).abs().amax((1, 2)) < 1e-12
    assert 2 < alike.sum() < 18
