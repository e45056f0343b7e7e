"""PixelSNAIL: attention against loops over pixels, what each pixel sees, and the cached sampler."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import LogisticMixture, natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_pixelsnail.blocks import Attention
from arbench_pixelsnail.network import PixelSNAIL


def make_layout(*shape: int, size: int = 2) -> Layout:
    return Layout(EventSpec(shape, Discrete(size)), sites="pixel")


def make_network(layout: Layout, num_params: int = 3, **options: object) -> PixelSNAIL:
    """A float64 network whose weights are large enough for every effect to be seen."""
    tiny: dict[str, object] = {**PixelSNAIL.tiny_hyperparameters}
    network = PixelSNAIL(layout, num_params, **tiny | options)  # type: ignore[arg-type]
    randomise(network.double().eval())
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


def slow_pointwise(block: torch.nn.Module, x: np.ndarray, *sides: np.ndarray) -> np.ndarray:
    """A gated block of 1x1 convolutions at one pixel, `(C,)`."""

    def active(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.where(v > 0, v, np.expm1(v)) for v in (values, -values)])

    weights = {name: w.detach().numpy() for name, w in block.named_parameters()}
    hidden = weights["first.weight"][:, :, 0, 0] @ active(x) + weights["first.bias"]
    for index, side in enumerate(sides):
        hidden = hidden + weights[f"sides.{index}.weight"][:, :, 0, 0] @ active(side)
    out = weights["second.weight"][:, :, 0, 0] @ active(hidden) + weights["second.bias"]
    a, b = np.split(out, 2)
    return np.asarray(x + a / (1 + np.exp(-b)))


def slow_attention(attention: Attention, x: Tensor, picture: Tensor, places: Tensor) -> np.ndarray:
    """Answers `(T, V)` for one picture: every argument is `(C, H, W)`."""

    def linear(conv: torch.nn.Conv2d, values: np.ndarray) -> np.ndarray:
        weight, bias = (p.detach().numpy() for p in conv.parameters())
        return np.asarray(weight[:, :, 0, 0] @ values + bias)

    stream, pixels, where = (part.flatten(1).T.detach().numpy() for part in (x, picture, places))
    key_size, value_size = attention.sizes
    keys, values, answers = [np.zeros(key_size)], [np.zeros(value_size)], []
    for own, pixel, place in zip(stream, pixels, where, strict=True):
        question = slow_pointwise(attention.question, np.concatenate((own, place)))
        query = linear(attention.query, question)
        scores = np.exp(np.array([key @ query for key in keys]) / math.sqrt(key_size))
        answers.append(scores / scores.sum() @ np.array(values))
        # Only now does the pixel itself become known to the ones after it.
        content = slow_pointwise(attention.content, np.concatenate((pixel, own, place)))
        known = linear(attention.key_value, content)
        keys.append(known[:key_size])
        values.append(known[key_size:])
    return np.array(answers)


@pytest.mark.parametrize(("key_size", "value_size"), [(3, 3), (3, 5), (4, 2)])
def test_attention_is_a_loop_over_pixels(key_size: int, value_size: int) -> None:
    attention = Attention(2, 4, key_size, value_size, 0.0).double().eval()
    randomise(attention)
    x, picture, places = (torch.randn(2, c, 3, 4).double() for c in (4, 2, 2))
    found = attention(x, picture, places).flatten(2).transpose(1, 2).detach().numpy()
    for b in range(2):
        expected = slow_attention(attention, x[b], picture[b], places[b])
        np.testing.assert_allclose(found[b], expected, rtol=0, atol=1e-12)
    assert (found[:, 0] == 0).all()


def test_the_network_is_its_parts_in_turn() -> None:
    layout = make_layout(3, 3, 4, size=4)
    network = make_network(layout)
    sites = random_sites(layout, 2)
    picture = network.pictures(sites, torch.float64)
    x = network.intake(picture)
    for block in network.blocks:
        for layer in block.residual:
            x = layer(x)
        answers = [
            slow_attention(block.attention, own, seen, network.places()[0])
            for own, seen in zip(x, picture, strict=True)
        ]
        merged = [
            slow_pointwise(block.merge, own, answer)
            for stream, answered in zip(x.flatten(2).transpose(1, 2), answers, strict=True)
            for own, answer in zip(stream.detach().numpy(), answered, strict=True)
        ]
        x = torch.tensor(np.array(merged)).reshape(2, 12, -1).transpose(1, 2).reshape(x.shape)
    expected = network.readout(torch.nn.functional.elu(x)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(network(sites), expected, rtol=0, atol=1e-12)


def test_places_span_the_image() -> None:
    places = make_network(make_layout(1, 4, 2)).places()
    assert places.shape == (1, 2, 4, 2)
    assert places[0, 0, :, 0].tolist() == places[0, 0, :, 1].tolist() == [-0.5, -0.25, 0.0, 0.25]
    assert places[0, 1, 0].tolist() == places[0, 1, 3].tolist() == [-0.5, 0.0]


CASES = [(1, 1, 6), (1, 6, 1), (1, 5, 7), (3, 4, 5)]


@pytest.mark.parametrize("shape", CASES)
@pytest.mark.parametrize("num_layers", [1, 3])
def test_step_equals_forward(shape: tuple[int, ...], num_layers: int) -> None:
    layout = make_layout(*shape, size=3)
    network = make_network(layout, num_layers=num_layers)
    sites = random_sites(layout)
    for _ in range(2):  # a second image finds nothing of the first one
        state, previous = network.init_state(len(sites)), None
        for t, expected in enumerate(network(sites).unbind(1)):
            params, state = network.step(state, previous, t)
            torch.testing.assert_close(params, expected, rtol=0, atol=1e-11)
            previous = sites[:, t]
        sites = sites.flip(1)


@pytest.mark.parametrize("shape", CASES)
def test_a_pixel_sees_all_earlier_ones_and_no_other(shape: tuple[int, ...]) -> None:
    layout = make_layout(*shape, size=3)
    network = make_network(layout, num_blocks=1)
    sites = random_sites(layout)
    params = network(sites)
    for s in range(layout.num_sites):
        for channel in range(layout.site_dim):
            changed = sites.clone()
            changed[:, s, channel] = (changed[:, s, channel] + 1) % 3
            moved = (network(changed) != params).any(-1).any(0)
            assert not moved[: s + 1].any()
            assert moved[s + 1 :].all()


def test_samplers_agree_on_colours() -> None:
    layout = make_layout(3, 4, 5, size=8)
    head = LogisticMixture(layout, num_components=2)
    model = Model(make_network(layout, head.num_params), head, layout)
    noise = model.draw_noise(6, torch.Generator().manual_seed(3))
    slow = model.sample(6, noise=noise, method="whole")
    assert torch.equal(model.sample(6, noise=noise, method="step"), slow)
    assert torch.equal(model.sample(6, noise=noise, method="fixed-point"), slow)


def test_real_pixels() -> None:
    layout = Layout(EventSpec((1, 3, 2), Real()))
    network = make_network(layout)
    sites = torch.randn(3, 6, 1, dtype=torch.float64)
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
        (make_layout(1, 3, 3), {"key_size": 0}, "at least 1"),
        (make_layout(1, 3, 3), {"dropout": -0.1}, "probability below 1"),
    ],
)
def test_what_it_cannot_do_is_refused(
    layout: Layout, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PixelSNAIL(layout, 1, **options)  # type: ignore[arg-type]


def test_learns_to_repeat_a_pixel_out_of_reach_of_its_convolutions() -> None:
    """The last row repeats the first; one layer of 2x2 kernels sees no farther than two rows."""
    torch.manual_seed(0)
    layout = make_layout(1, 6, 2)
    network = PixelSNAIL(layout, 1, channels=16, num_blocks=1, num_layers=1)
    model = Model(network, natural_head(layout), layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(160):
        events = torch.zeros(32, 1, 6, 2, dtype=torch.int64)
        events[:, :, 0] = events[:, :, 5] = torch.randint(2, (32, 1, 2))
        optimizer.zero_grad()
        loss = -model.log_prob(events).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 2 * math.log(2) + 0.2
