"""WaveNet against the paper's equations, its receptive field, and queues that cost the same."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.training.recipes import resolve_recipe
from arbench_wavenet import arbench_entries
from arbench_wavenet.network import WaveNet

SMALL: dict[str, Any] = {"channels": 3, "skip_channels": 4, "dilations": [1, 2]}


def make_layout(num_sites: int = 12, size: int = 5, order_seed: int | None = None) -> Layout:
    spec = EventSpec((num_sites,), Discrete(size))
    return Layout(spec) if order_seed is None else Layout.permuted(spec, order_seed)


def make_network(layout: Layout, num_params: int = 5, **options: Any) -> WaveNet:
    """A float64 network whose weights, biases included, are large enough to be seen."""
    network = WaveNet(layout, num_params, **{**SMALL, **options}).double().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    return network


def random_sites(layout: Layout, batch_size: int = 4) -> Tensor:
    return torch.randint(layout.alphabet_size, (batch_size, layout.num_sites, layout.site_dim))


def oracle(network: WaveNet, event: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """Parameters of one discrete event by the paper's equation 2, site by site and tap by tap.

    Values enter one-hot: the table is the matrix that the one-hot vector is multiplied by.
    """
    weight = {name: value.numpy() for name, value in network.state_dict().items()}
    table, start = weight["inputs.table.weight"], weight["inputs.start"]
    num_sites, channels = len(event), options["channels"]
    stream = [start]
    for value in event[:-1]:
        one_hot = np.zeros(len(table))
        one_hot[value] = 1
        vector = one_hot @ table
        if options.get("ordinal"):
            size = len(table)
            vector = vector + weight["inputs.linear.weight"][:, 0] * (4 * value / (size - 1) - 2)
        stream.append(vector)
    skips = [np.zeros(options["skip_channels"]) for _ in range(num_sites)]
    index = 0
    for _ in range(options["num_blocks"]):
        for dilation in options["dilations"]:
            kernel, bias = (
                weight[f"layers.{index}.gates.weight"],
                weight[f"layers.{index}.gates.bias"],
            )
            after = []
            for t in range(num_sites):
                total = bias.copy()
                for tap in range(options["kernel_size"]):
                    if t - tap * dilation >= 0:
                        columns = slice(tap * channels, (tap + 1) * channels)
                        total += kernel[:, columns] @ stream[t - tap * dilation]
                z = np.tanh(total[:channels]) / (1 + np.exp(-total[channels:]))
                skips[t] = skips[t] + weight[f"layers.{index}.skip.weight"] @ z
                residual = weight.get(f"layers.{index}.residual.weight")
                after.append(stream[t] if residual is None else stream[t] + residual @ z)
            stream, index = after, index + 1
    params = []
    for total in skips:
        hidden = weight["hidden.weight"] @ np.maximum(total, 0) + weight["hidden.bias"]
        params.append(weight["outputs.weight"] @ np.maximum(hidden, 0) + weight["outputs.bias"])
    return np.stack(params)


@pytest.mark.parametrize(
    "options",
    [
        {"num_blocks": 1, "kernel_size": 2},
        {"num_blocks": 2, "kernel_size": 2, "ordinal": True},
        {"num_blocks": 1, "kernel_size": 3, "dilations": [2, 1, 3]},
    ],
    ids=str,
)
def test_forward_is_the_papers_equation(options: dict[str, Any]) -> None:
    options = {**SMALL, **options}
    layout = make_layout()
    network = make_network(layout, **options)
    sites = random_sites(layout)
    expected = [oracle(network, event, options) for event in sites[..., 0].numpy()]
    params = network(sites).detach().numpy()
    np.testing.assert_allclose(params, np.stack(expected), rtol=0, atol=1e-11)


# The receptive field


@pytest.mark.parametrize(
    ("num_blocks", "dilations", "kernel_size"),
    [(1, [1], 2), (1, [1, 2, 4], 2), (2, [1, 2, 4], 2), (1, [1, 3], 3), (3, [2], 4)],
)
def test_receptive_field_is_the_formula_by_gradients(
    num_blocks: int, dilations: list[int], kernel_size: int
) -> None:
    expected = 1 + num_blocks * (kernel_size - 1) * sum(dilations)
    layout = Layout(EventSpec((expected + 6,), Real()))
    network = make_network(
        layout, num_blocks=num_blocks, dilations=dilations, kernel_size=kernel_size, channels=6
    )
    assert network.receptive_field == expected
    sites = torch.randn(20, layout.num_sites, 1, dtype=torch.float64, requires_grad=True)
    last = layout.num_sites - 1
    (gradient,) = torch.autograd.grad(network(sites)[:, last].sum(), sites)
    seen = gradient[..., 0].abs().amax(0).nonzero()[:, 0].tolist()
    assert seen[0] == last - expected
    assert seen[-1] == last - 1
    if dilations[0] == 1:  # else the taps leave gaps, as they should
        assert seen == list(range(last - expected, last))


def test_default_recipes_see_what_their_comments_say() -> None:
    (entry,) = arbench_entries
    for task_name, sites_seen in (("default", 256), ("fsdd", 2047)):
        _, recipe = resolve_recipe(entry, WaveNet, task_name)
        assert WaveNet(make_layout(), 1, **recipe.network).receptive_field == sites_seen


# Queues

QUEUE_CASES = [
    pytest.param({"dilations": [1, 2, 4], "num_blocks": 2}, id="two blocks"),
    pytest.param({"dilations": [3], "num_blocks": 1, "kernel_size": 4}, id="four taps"),
    pytest.param({"dilations": [1, 2], "num_blocks": 1, "kernel_size": 3, "ordinal": True}, id="3"),
    pytest.param({"dilations": [64], "num_blocks": 1}, id="longer than the sequence"),
]


@pytest.mark.parametrize("options", QUEUE_CASES)
@pytest.mark.parametrize("order_seed", [None, 3])
def test_queues_equal_forward_far_beyond_the_receptive_field(
    options: dict[str, Any], order_seed: int | None
) -> None:
    layout = make_layout(60, order_seed=order_seed)
    network = make_network(layout, **options)
    if options["dilations"] != [64]:
        assert layout.num_sites > 2 * network.receptive_field
    for batch_size in (3, 1):  # a second batch finds nothing of the first
        sites = random_sites(layout, batch_size)
        params = network(sites)
        state, previous = network.init_state(batch_size), None
        for t in range(layout.num_sites):
            stepped, state = network.step(state, previous, t)
            torch.testing.assert_close(stepped, params[:, t], rtol=1e-10, atol=1e-10)
            previous = sites[:, t]


@pytest.mark.parametrize("options", [{}, {"ordinal": True}, {"coordinates": True}], ids=str)
@pytest.mark.parametrize("order_seed", [None, 2])
def test_samplers_agree_on_images(options: dict[str, Any], order_seed: int | None) -> None:
    for spec in (EventSpec((3, 2, 3), Discrete(4)), EventSpec((1, 4, 4), Discrete(2))):
        layout = Layout(spec) if order_seed is None else Layout.permuted(spec, order_seed)
        head = natural_head(layout)
        network = make_network(layout, head.num_params, num_blocks=2, **options)
        model = Model(network, head, layout)
        noise = model.draw_noise(20, torch.Generator().manual_seed(3))
        slow = model.sample(20, noise=noise, method="whole")
        assert torch.equal(model.sample(20, noise=noise, method="step"), slow)


class Counting(TorchDispatchMode):
    """Counts the operations that reach the kernels, and the numbers that come out of them."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations[str(func)] += 1
        if isinstance(result, Tensor):
            self.numbers += result.numel()
        return result


def work_at(network: WaveNet, site: int) -> tuple[Counter[str], int]:
    """What one step costs after so many others."""
    state = network.init_state(2)
    previous = torch.zeros(2, 1, dtype=torch.int64)
    for t in range(site):
        _, state = network.step(state, previous if t else None, t)
    with Counting() as counting:
        network.step(state, previous, site)
    return counting.operations, counting.numbers


def test_a_site_costs_the_same_however_late_it_is() -> None:
    """Operation by operation, in a clip of 30 and in one of 600."""
    early = work_at(make_network(make_layout(30), num_blocks=3), 20)
    late = work_at(make_network(make_layout(600), num_blocks=3), 550)
    assert early == late
    # Three matrix products a layer, two for the readout; nothing is joined or moved along.
    assert sum(n for name, n in early[0].items() if "mm" in name) == 3 * 6 + 2
    assert not [name for name in early[0] if "cat" in name or "roll" in name]


# Inputs


def test_real_values_of_several_dims_per_site() -> None:
    layout = Layout(EventSpec((3, 2, 4), Real()), sites="pixel")
    network = make_network(layout, 6)
    sites = torch.randn(3, 8, 3, dtype=torch.float64)
    params = network(sites)
    assert params.shape == (3, 8, 6)
    state, previous = network.init_state(3), None
    for t in range(8):
        stepped, state = network.step(state, previous, t)
        torch.testing.assert_close(stepped, params[:, t], rtol=0, atol=1e-10)
        previous = sites[:, t]


def test_the_dims_of_a_pixel_have_tables_of_their_own() -> None:
    """Permuting the channels of a pixel is a change that the next one sees."""
    layout = Layout(EventSpec((3, 1, 2), Discrete(4)), sites="pixel")
    network = make_network(layout, 9)
    params = [
        network(torch.tensor([[list(pixel), [0, 0, 0]]]))[0, 1]
        for pixel in ((0, 1, 2), (1, 0, 2), (0, 2, 1))
    ]
    assert not torch.allclose(params[0], params[1])
    assert not torch.allclose(params[0], params[2])


def test_one_site_alone_depends_on_nothing() -> None:
    layout = make_layout(1)
    network = make_network(layout)
    params = network(torch.tensor([[[0]], [[1]]]))
    assert torch.equal(params[0], params[1])
    stepped, _ = network.step(network.init_state(2), None, 0)
    torch.testing.assert_close(stepped, params[:, 0])


def test_gradients_reach_every_parameter() -> None:
    layout = make_layout()
    network = make_network(layout, num_blocks=2, ordinal=True)
    network(random_sites(layout, 20)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_activations_start_at_the_same_size_however_deep() -> None:
    layout = make_layout(100, size=256)
    sites = random_sites(layout)
    spreads = []
    for num_blocks in (1, 8):
        torch.manual_seed(0)
        network = WaveNet(layout, 256, num_blocks=num_blocks)
        spreads.append(network(sites).std().item())
    assert 0.05 < spreads[0] < 1
    assert spreads[1] == pytest.approx(spreads[0], rel=0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "at least 1, got 0"),
        ({"dilations": []}, "every dilation"),
        ({"dilations": [1, 0]}, "every dilation"),
        ({"num_blocks": 0}, "at least 1"),
        ({"kernel_size": 1}, "kernel_size must be at least 2"),
        ({"dropout": 1.0}, "probability below 1"),
    ],
)
def test_unacceptable_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WaveNet(make_layout(), 5, **options)


def test_learns_an_echo_at_a_distance() -> None:
    """Each value repeats the one 5 sites before, which the taps of 1, 2 and 4 can single out."""
    layout = make_layout(25, size=3)
    torch.manual_seed(0)
    network = WaveNet(layout, 3, channels=16, skip_channels=16, num_blocks=1, dilations=[1, 2, 4])
    model = Model(network, natural_head(layout), layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(200):
        events = torch.randint(3, (32, 5)).repeat(1, 5)
        optimizer.zero_grad()
        loss = -model.log_prob(events).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 5 * math.log(3) + 1.0  # the first five cannot be known
