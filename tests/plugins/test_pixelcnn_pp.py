"""PixelCNN++ against a slow, independent one; shifted convolutions; caches at every resolution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbench.networks.raster import RasterPictures
from arbench.networks.shifted import (
    EarlierPixels,
    GatedBlock,
    ShiftedConv,
    ShiftedDeconv,
    concat_elu,
)
from arbench.networks.shifted_steps import PixelBlock, RowBlock
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import LogisticMixture, natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.testing.conformance import CHECKS, run_checks
from arbench.testing.tiny import TINY_EVENTS
from arbench_pixelcnn_pp.network import PixelCNNPP

Pictures = NDArray[np.float64]


def make_layout(*shape: int, size: int = 2) -> Layout:
    return Layout(EventSpec(shape, Discrete(size)), sites="pixel")


def make_network(layout: Layout, num_params: int = 3, **options: object) -> PixelCNNPP:
    """A float64 network whose weights are large enough for every effect to be seen."""
    options = {"channels": 4, "num_blocks": 1} | options
    network = PixelCNNPP(layout, num_params, **options).double().eval()  # type: ignore[arg-type]
    randomise(network)
    return network


def randomise(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.copy_(noise / math.sqrt(max(weight[0].numel(), 4)))


def random_sites(layout: Layout, batch_size: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    shape = (batch_size, layout.num_sites, layout.site_dim)
    return torch.randint(layout.alphabet_size, shape, generator=generator)


def elu(x: Pictures) -> Pictures:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def slow_conv(layer: ShiftedConv, x: Pictures, right: bool) -> Pictures:
    """`(C, H, W)`: output (i, j) from what is at most h - 1 rows up, w columns around or left."""
    weight = layer.weight.detach().numpy()
    assert layer.bias is not None
    bias = layer.bias.detach().numpy()
    (_, height, width), (_, _, kh, kw), s = x.shape, weight.shape, layer.stride[0]
    first = -(kw - 1) if right else -(kw // 2)
    out = np.zeros((len(weight), -(-height // s), -(-width // s)))
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            out[:, i, j] = bias
            for a in range(kh):
                for b in range(kw):
                    row, column = s * i - (kh - 1) + a, s * j + first + b
                    if row >= 0 and 0 <= column < width:
                        out[:, i, j] += weight[:, :, a, b] @ x[:, row, column]
    return out


def slow_deconv(layer: ShiftedDeconv, x: Pictures, size: tuple[int, int], right: bool) -> Pictures:
    weight = layer.weight.detach().numpy()
    assert layer.bias is not None
    out = np.zeros((weight.shape[1], *size)) + layer.bias.detach().numpy()[:, None, None]
    for i, j in np.ndindex(x.shape[1:]):
        for a, b in np.ndindex(weight.shape[2:]):
            row, column = 2 * i + a, 2 * j + b - (0 if right else 1)
            if row < size[0] and 0 <= column < size[1]:
                out[:, row, column] += weight[:, :, a, b].T @ x[:, i, j]
    return out


def slow_block(block: GatedBlock, x: Pictures, right: bool, *sides: Pictures) -> Pictures:
    hidden = slow_conv(block.first, np.concatenate((elu(x), elu(-x))), right)
    for layer, side in zip(block.sides, sides, strict=True):
        weight = layer.weight.detach().numpy()[:, :, 0, 0]
        hidden = hidden + np.einsum("oc,chw->ohw", weight, np.concatenate((elu(side), elu(-side))))
    gated = slow_conv(block.second, np.concatenate((elu(hidden), elu(-hidden))), right)
    a, b = np.split(gated, 2)
    return np.asarray(x + a / (1 + np.exp(-b)))


def slow_network(network: PixelCNNPP, pixels: Pictures, last_level: int) -> Pictures:
    """Parameters `(P, H, W)` of one picture of levels `(C, H, W)`, straight from the paper."""
    picture = np.concatenate((2 * pixels / last_level - 1, np.ones_like(pixels[:1])))
    above = np.concatenate((np.full_like(picture[:, :1], -1), picture[:, :-1]), 1)
    left = np.concatenate((np.zeros_like(picture[:, :, :1]), picture[:, :, :-1]), 2)
    u = slow_conv(network.vertical_in, above, False)
    h = slow_conv(network.horizontal_in.above, above, False)
    h = h + slow_conv(network.horizontal_in.left, left, True)
    us, hs = [u], [h]
    levels = list(network.levels)
    for level in levels:
        for own, other in zip(level.vertical_up, level.horizontal_up, strict=True):
            u = slow_block(own, u, False)
            h = slow_block(other, h, True, u)
            us.append(u)
            hs.append(h)
        if level is not levels[-1]:
            assert level.vertical_smaller is not None
            assert level.horizontal_smaller is not None
            u = slow_conv(level.vertical_smaller, u, False)
            h = slow_conv(level.horizontal_smaller, h, True)
            us.append(u)
            hs.append(h)
    u, h = us.pop(), hs.pop()
    for level in reversed(levels):
        if level is not levels[-1]:
            assert level.vertical_larger is not None
            assert level.horizontal_larger is not None
            size = (us[-1].shape[1], us[-1].shape[2])
            u = slow_deconv(level.vertical_larger, u, size, False)
            h = slow_deconv(level.horizontal_larger, h, size, True)
        for own, other in zip(level.vertical_down, level.horizontal_down, strict=True):
            u = slow_block(own, u, False, us.pop())
            h = slow_block(other, h, True, u, hs.pop())
    assert not us
    weight, bias = (p.detach().numpy() for p in network.readout.parameters())
    out = np.einsum("pc,chw->phw", weight[:, :, 0, 0], elu(h)) + bias[:, None, None]
    return np.asarray(out)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 3)])
@pytest.mark.parametrize("num_levels", [1, 2])
def test_forward_is_a_slow_and_independent_one(shape: tuple[int, ...], num_levels: int) -> None:
    layout = make_layout(*shape, size=4)
    network = make_network(layout, num_levels=num_levels)
    sites = random_sites(layout, 2)
    params = network(sites).transpose(1, 2).reshape(2, -1, *shape[1:])
    for event, found in zip(layout.to_events(sites).double().numpy(), params, strict=True):
        expected = slow_network(network, event, 3)
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=1e-12)


def test_concat_elu_is_its_definition() -> None:
    values = torch.tensor([[-2.0, 0.0, 3.0]], dtype=torch.float64)
    below = [math.exp(-2) - 1, 0.0, math.exp(-3) - 1]
    expected = torch.tensor([[below[0], 0.0, 3.0, 2.0, 0.0, below[2]]], dtype=torch.float64)
    torch.testing.assert_close(concat_elu(values), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_shifted_convolution_reads_exactly_its_window(right: bool, stride: int) -> None:
    conv = ShiftedConv(1, 1, (2, 2) if right else (2, 3), right=right, stride=stride).double()
    with torch.no_grad():
        conv.weight.fill_(1.0)
    picture = torch.zeros(1, 1, 5, 6, dtype=torch.float64)
    for r, c in np.ndindex(5, 6):
        lit = picture.clone()
        lit[0, 0, r, c] = 1
        seen = (conv(lit) != conv(picture))[0, 0]
        expected = torch.zeros_like(seen)
        for i, j in np.ndindex(*seen.shape):
            columns = (-1, 0) if right else (-1, 0, 1)
            is_read = r - stride * i in (-1, 0) and c - stride * j in columns
            expected[i, j] = is_read
        assert torch.equal(seen, expected)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_the_way_back_from_a_stride_stays_causal(right: bool, size: tuple[int, int]) -> None:
    """Down by 2 and up again, a pixel sees no later row, and with `right` no later column."""
    down = ShiftedConv(1, 1, (2, 2) if right else (2, 3), right=right, stride=2).double()
    up = ShiftedDeconv(1, right=right).double()
    with torch.no_grad():
        down.weight.fill_(1.0)
        up.weight.fill_(1.0)
    picture = torch.zeros(1, 1, *size, dtype=torch.float64)
    assert up(down(picture)).shape == (1, 1, 2 * -(-size[0] // 2), 2 * -(-size[1] // 2))
    before = up(down(picture), size)
    assert before.shape == picture.shape
    for r, c in np.ndindex(*size):
        lit = picture.clone()
        lit[0, 0, r, c] = 1
        for i, j in (up(down(lit), size) != before)[0, 0].nonzero().tolist():
            assert r <= i
            assert not right or c <= j


def test_the_first_layer_sees_five_earlier_pixels() -> None:
    layer = EarlierPixels(1, 1).double()
    with torch.no_grad():
        layer.above.weight.fill_(1.0)
        layer.left.weight.fill_(1.0)
    picture = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    offsets = set()
    for r, c in np.ndindex(4, 5):
        lit = picture.clone()
        lit[0, 0, r, c] = 1
        changed = (layer(lit) != layer(picture))[0, 0].nonzero().tolist()
        offsets |= {(r - i, c - j) for i, j in changed}
    assert offsets == {(-1, -1), (-1, 0), (-1, 1), (0, -1)}


@pytest.mark.parametrize("right", [False, True])
def test_a_block_walked_is_the_block(right: bool) -> None:
    block = GatedBlock(3, (2, 2) if right else (2, 3), right=right, sides=[2]).double().eval()
    randomise(block)
    x, side = torch.randn(2, 3, 4, 5).double(), torch.randn(2, 2, 4, 5).double()
    with torch.no_grad():
        expected = block(x, side)
        rows, pixels = RowBlock(block, 2, 5) if not right else None, PixelBlock(block, 2, 5)
        for r in range(4):
            if rows is not None:
                found = rows(x[:, :, r : r + 1], side[:, :, r : r + 1]).squeeze(2)
            else:
                pixels.start_row(concat_elu(side[:, :, r : r + 1]))
                found = torch.stack([pixels(x[:, :, r, c], c) for c in range(5)], -1)
            torch.testing.assert_close(found, expected[:, :, r], rtol=0, atol=1e-14)


CASES = [
    ((1, 1, 6), 1),
    ((1, 6, 1), 1),
    ((1, 6, 7), 1),
    ((1, 6, 7), 2),
    ((1, 9, 7), 3),
    ((1, 8, 8), 4),
    ((3, 5, 6), 2),
]


@pytest.mark.parametrize(("shape", "num_levels"), CASES)
def test_step_equals_forward(shape: tuple[int, ...], num_levels: int) -> None:
    layout = make_layout(*shape, size=3)
    network = make_network(layout, num_levels=num_levels, num_blocks=2)
    sites = random_sites(layout)
    for _ in range(2):  # a second image finds nothing of the first one
        state, previous = network.init_state(len(sites)), None
        for t, expected in enumerate(network(sites).unbind(1)):
            params, state = network.step(state, previous, t)
            torch.testing.assert_close(params, expected, rtol=0, atol=1e-11)
            previous = sites[:, t]
        sites = sites.flip(1)


@pytest.mark.parametrize(("shape", "num_levels"), CASES)
def test_a_pixel_sees_exactly_the_earlier_ones(shape: tuple[int, ...], num_levels: int) -> None:
    layout = make_layout(*shape, size=3)
    network = make_network(layout, num_levels=num_levels, num_blocks=3)
    sites = random_sites(layout, 4)
    params = network(sites)
    for s in range(layout.num_sites):
        for channel in range(layout.site_dim):
            changed = sites.clone()
            changed[:, s, channel] = (changed[:, s, channel] + 1) % 3
            moved = (network(changed) != params).any(-1).any(0)
            assert not moved[: s + 1].any()
            # Straight below and to the right there is no blind spot within reach.
            assert moved[s + 1 : s + 2].all()


def test_there_is_no_blind_spot_up_and_to_the_right() -> None:
    layout = make_layout(1, 6, 6)
    network = make_network(layout, num_blocks=3)
    sites = random_sites(layout)
    grid = network(sites).unflatten(1, (6, 6))
    for r, c in np.ndindex(5, 6):
        changed = sites.clone()
        changed[:, 6 * r + c] = 1 - changed[:, 6 * r + c]
        moved = (network(changed).unflatten(1, (6, 6)) != grid).any(-1).any(0)
        assert moved[r + 1 :].all()
        assert moved[r, c + 1 :].all()


@pytest.mark.parametrize(
    ("num_blocks", "num_levels", "rows"), [(1, 1, 7), (2, 1, 11), (1, 2, 20), (2, 2, 32)]
)
def test_the_reach_is_what_the_readme_says(num_blocks: int, num_levels: int, rows: int) -> None:
    layout = make_layout(1, rows + 4, 7)
    network = make_network(layout, num_blocks=num_blocks, num_levels=num_levels)
    sites = random_sites(layout)
    before = network(sites)
    reached = []
    for r in (0, 1):
        changed = sites.clone()
        changed[:, 7 * r + 3] = 1 - changed[:, 7 * r + 3]
        moved = (network(changed) != before).any(-1).any(0).nonzero()
        reached.append(int(moved.max()) // 7 - r)
    assert max(reached) == rows


@pytest.mark.parametrize("num_levels", [1, 2])
def test_samplers_agree_on_colours(num_levels: int) -> None:
    layout = make_layout(3, 4, 5, size=8)
    head = LogisticMixture(layout, num_components=2)
    model = Model(make_network(layout, head.num_params, num_levels=num_levels), head, layout)
    noise = model.draw_noise(6, torch.Generator().manual_seed(3))
    slow = model.sample(6, noise=noise, method="whole")
    assert torch.equal(model.sample(6, noise=noise, method="step"), slow)
    assert torch.equal(model.sample(6, noise=noise, method="fixed-point"), slow)


def test_conformance_with_two_levels() -> None:
    """The suite over the registry covers one level."""
    checks = {name: CHECKS[name] for name in ("causality", "influence", "step_equals_forward")}
    specs = {name: TINY_EVENTS[name] for name in ("binary-2x3", "pixels-2x2")}
    options = {"specs": specs, "hyperparameters": {"num_levels": 2}}
    results = run_checks(PixelCNNPP, checks=checks, **options)
    assert not [r for r in results if r.status == "failed"]
    assert sum(r.status == "passed" for r in results) == len(checks) * len(specs)


def test_real_pixels_are_read_as_they_are() -> None:
    layout = Layout(EventSpec((1, 2, 2), Real()))
    network = make_network(layout)
    sites = torch.randn(3, 4, 1, dtype=torch.float64)
    pictures = RasterPictures(layout)(sites, torch.float64)
    assert torch.equal(pictures[:, 0].flatten(1), sites[..., 0])
    assert (pictures[:, 1] == 1).all()
    state, previous = network.init_state(3), None
    for t, expected in enumerate(network(sites).unbind(1)):
        params, state = network.step(state, previous, t)
        torch.testing.assert_close(params, expected, rtol=0, atol=1e-12)
        previous = sites[:, t]


@pytest.mark.parametrize(
    ("layout", "options", "message"),
    [
        (Layout(EventSpec((7,), Discrete(2))), {}, "images in raster order"),
        (Layout.permuted(EventSpec((1, 3, 3), Discrete(2)), 1), {}, "images in raster order"),
        (Layout(EventSpec((3, 2, 2), Discrete(2))), {}, "3 channels.*sites to 'pixel'"),
        (make_layout(1, 3, 9), {"num_levels": 3}, "at least 4 pixels, got 3"),
        (make_layout(1, 3, 3), {"channels": 0}, "at least 1"),
        (make_layout(1, 3, 3), {"dropout": 1.0}, "probability below 1"),
    ],
)
def test_what_it_cannot_do_is_refused(
    layout: Layout, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PixelCNNPP(layout, 1, **options)  # type: ignore[arg-type]


def test_it_is_found_by_the_name_that_people_type() -> None:
    assert registry().find(ModelEntry, "PixelCNN++").entry.name == "pixelcnn-pp"


def test_learns_that_a_pixel_repeats_the_one_above() -> None:
    layout = make_layout(1, 3, 4)
    model = Model(PixelCNNPP(layout, 1, channels=8, num_blocks=1), natural_head(layout), layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    torch.manual_seed(0)
    for _ in range(100):
        events = torch.randint(2, (32, 1, 1, 4)).expand(-1, -1, 3, -1)
        optimizer.zero_grad()
        loss = -model.log_prob(events).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 4 * math.log(2) + 0.3
