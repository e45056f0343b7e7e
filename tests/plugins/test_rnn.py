"""Recurrent networks against their equations site by site, and what makes their steps exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from arbench.networks.site_vectors import SiteLookup, SiteVectors
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_rnn import arbench_entries
from arbench_rnn.mingru.network import MinGRU
from arbench_rnn.mingru.scan import scan
from arbench_rnn.network import GRU, LSTM, RNN

NETWORKS: dict[str, type[nn.Module]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU, "mingru": MinGRU}
RECURRENT = ["rnn", "lstm", "gru"]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def make_layout(num_sites: int = 12, size: int = 5) -> Layout:
    return Layout(EventSpec((num_sites,), Discrete(size)))


def make_network(name: str, layout: Layout, num_params: int = 5, **options: Any) -> Any:
    """A small float64 network whose biases and first states are large enough to be seen."""
    network_class: Any = NETWORKS[name]
    network = network_class(layout, num_params, **{**network_class.tiny_hyperparameters, **options})
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return network.double().eval()


def sigmoid(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-x))
    return result


def layer_norm(x: np.ndarray, weight: dict[str, np.ndarray], name: str) -> np.ndarray:
    scaled = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    result: np.ndarray = scaled * weight[f"{name}.weight"] + weight[f"{name}.bias"]
    return result


def recurrent_oracle(name: str, network: Any, event: np.ndarray) -> np.ndarray:
    """Parameters of one event by the textbook's equations, one site and layer after the other."""
    weight = {key: value.numpy() for key, value in network.state_dict().items()}
    first = weight["initial"]
    num_layers, size = first.shape[1:]
    states = [first[0, layer] for layer in range(num_layers)]
    cells = [first[-1, layer] for layer in range(num_layers)]
    params = []
    for t in range(len(event)):
        x = weight["inputs.start"] if t == 0 else weight["inputs.table.weight"][event[t - 1]]
        for layer in range(num_layers):
            h = states[layer]
            read = weight[f"layers.weight_ih_l{layer}"] @ x + weight[f"layers.bias_ih_l{layer}"]
            own = weight[f"layers.weight_hh_l{layer}"] @ h + weight[f"layers.bias_hh_l{layer}"]
            if name == "rnn":
                h = np.tanh(read + own)
            elif name == "lstm":
                i, f, g, o = (read + own).reshape(4, size)
                cells[layer] = sigmoid(f) * cells[layer] + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(cells[layer])
            else:
                reset, keep = sigmoid((read + own)[: 2 * size]).reshape(2, size)
                new = np.tanh(read[2 * size :] + reset * own[2 * size :])
                h = (1 - keep) * new + keep * h
            states[layer] = x = h
        params.append(weight["outputs.weight"] @ x + weight["outputs.bias"])
    return np.stack(params)


def mingru_oracle(network: Any, event: np.ndarray) -> np.ndarray:
    """The same for minGRU: one gate, `h = (1 - z) h + z n`, then a perceptron, in each block."""
    weight = {key: value.numpy() for key, value in network.state_dict().items()}
    num_parts = len(network.parts)
    states = {
        part: weight[f"parts.{part}.initial"]
        for part in range(num_parts)
        if f"parts.{part}.initial" in weight
    }
    erf = np.vectorize(math.erf)
    params = []
    for t in range(len(event)):
        x = weight["inputs.start"] if t == 0 else weight["inputs.table.weight"][event[t - 1]]
        for part in range(num_parts):
            normed = layer_norm(x, weight, f"parts.{part}.norm")
            inner = weight[f"parts.{part}.inner.weight"] @ normed
            inner = inner + weight[f"parts.{part}.inner.bias"]
            if part in states:
                gate, new = np.split(inner, 2)
                units = (1 - sigmoid(gate)) * states[part] + sigmoid(gate) * new
                states[part] = units
            else:
                units = inner * (1 + erf(inner / np.sqrt(2))) / 2
            x = x + weight[f"parts.{part}.mix.weight"] @ units
        normed = layer_norm(x, weight, "norm")
        params.append(weight["outputs.weight"] @ normed + weight["outputs.bias"])
    return np.stack(params)


@pytest.mark.parametrize("name", NETWORKS)
def test_forward_is_the_equations_one_site_at_a_time(name: str) -> None:
    network = make_network(name, make_layout())
    sites = torch.randint(5, (3, 12, 1))
    events = sites[..., 0].numpy()
    if name == "mingru":
        expected = [mingru_oracle(network, event) for event in events]
    else:
        expected = [recurrent_oracle(name, network, event) for event in events]
    found = network(sites).detach().numpy()
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=1e-11)


def assert_steps_are_forward(network: Any, sites: Tensor) -> None:
    params = network(sites).detach()
    allowed = 1e-10 * max(1.0, params.abs().max().item())
    for _ in range(2):  # the second state finds nothing of the first
        state, previous = network.init_state(len(sites)), None
        for t in range(sites.shape[1]):
            stepped, state = network.step(state, previous, t)
            torch.testing.assert_close(stepped, params[:, t], rtol=0, atol=allowed)
            assert not stepped.requires_grad
            previous = sites[:, t]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("num_sites", [1, 2, 100])
@pytest.mark.parametrize("options", [{}, {"ordinal": True, "coordinates": True}], ids=str)
def test_step_is_forward(name: str, num_sites: int, options: dict[str, Any]) -> None:
    network = make_network(name, make_layout(num_sites), **options)
    assert_steps_are_forward(network, torch.randint(5, (3, num_sites, 1)))


@pytest.mark.parametrize("name", NETWORKS)
def test_step_is_forward_for_pixels_and_reals(name: str) -> None:
    for domain in (Discrete(4), Real()):
        layout = Layout(EventSpec((3, 2, 3), domain), sites="pixel")
        network = make_network(name, layout, coordinates=True)
        discrete = torch.randint(4, (3, 6, 3))
        sites = discrete if isinstance(domain, Discrete) else torch.randn(3, 6, 3).double()
        assert_steps_are_forward(network, sites)


@pytest.mark.parametrize("name", RECURRENT)
def test_deep_stacks_step_too(name: str) -> None:
    network = make_network(name, make_layout(20), num_layers=4, dropout=0.5)
    assert_steps_are_forward(network, torch.randint(5, (2, 20, 1)))


@pytest.mark.parametrize("name", NETWORKS)
def test_samplers_agree_in_float32(name: str) -> None:
    layout = Layout(EventSpec((3, 2, 3), Discrete(4)))
    network = make_network(name, layout, 4).float()
    model = Model(network, natural_head(layout), layout)
    noise = model.draw_noise(50, torch.Generator().manual_seed(3))
    slow = model.sample(50, noise=noise, method="whole")
    assert torch.equal(model.sample(50, noise=noise, method="step"), slow)


@pytest.mark.parametrize("name", NETWORKS)
def test_first_states_are_learned_and_seen(name: str) -> None:
    network = make_network(name, make_layout())
    firsts = {key: p for key, p in network.named_parameters() if key.endswith("initial")}
    assert firsts
    sites = torch.randint(5, (4, 12, 1))
    network(sites).square().sum().backward()
    for first in firsts.values():
        assert first.grad is not None
        assert (first.grad != 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_no_gradient_is_missing_in_colour(name: str) -> None:
    layout = Layout(EventSpec((3, 2, 3), Discrete(4)))
    network = make_network(name, layout, 4, ordinal=True, coordinates=True)
    network(torch.randint(4, (5, 18, 1))).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_acts_in_training_alone(name: str) -> None:
    options = {} if name == "mingru" else {"num_layers": 1}
    network = make_network(name, make_layout(), dropout=0.5, **options)
    sites = torch.randint(5, (4, 12, 1))
    assert torch.equal(network(sites), network(sites))
    network.train()
    assert not torch.equal(network(sites), network(sites))


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("locked", [False, True])
def test_locked_dropout_leaves_out_the_same_units_at_every_site(name: str, locked: bool) -> None:
    options = {"num_layers": 1, "dropout": 0.5, "locked_dropout": locked}
    network = make_network(name, make_layout(), **options).train()
    seen: list[torch.Tensor] = []
    network.outputs.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.randint(5, (20, 12, 1)))
    left_out = seen[0] == 0  # (B, T, H)
    assert 0.3 < left_out.double().mean() < 0.7
    assert bool((left_out == left_out[:, :1]).all()) == locked
    assert not (left_out == left_out[:1]).all()  # each event has its own


@pytest.mark.parametrize("name", RECURRENT)
def test_weight_dropout_thins_recurrent_weights_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(name, make_layout(), hidden=64, num_layers=2, weight_dropout=0.25)
    seen: list[tuple[torch.Tensor, ...]] = []
    run_layer = network.run_layer

    def recorded(values: torch.Tensor, states: Any, weights: Any, **options: Any) -> Any:
        seen.append(tuple(weights))
        return run_layer(values, states, weights, **options)

    monkeypatch.setattr(network, "run_layer", recorded)
    sites = torch.randint(5, (4, 12, 1))
    network(sites)
    network.train()(sites)
    for whole, thinned in zip(seen[:2], seen[2:], strict=True):
        left_out = thinned[1] == 0
        assert 0.2 < left_out.double().mean() < 0.3
        torch.testing.assert_close(thinned[1], torch.where(left_out, 0, whole[1] / 0.75))
        for kept, weight in zip(thinned[:1] + thinned[2:], whole[:1] + whole[2:], strict=True):
            assert torch.equal(kept, weight)


@pytest.mark.parametrize("name", NETWORKS)
def test_runs_in_bfloat16_autocast(name: str) -> None:
    network = make_network(name, make_layout(60)).float()
    sites = torch.randint(5, (4, 60, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(sites)
    assert (rough.float() - network(sites)).abs().max() < 0.5
    rough.float().square().sum().backward()


@pytest.mark.parametrize("name", NETWORKS)
def test_builds_without_memory(name: str) -> None:
    with torch.device("meta"):
        network = NETWORKS[name](make_layout(), 5, coordinates=True)
    assert all(parameter.is_meta for parameter in network.parameters())


def test_recurrent_weights_start_orthogonal_and_forget_gates_open() -> None:
    network = LSTM(make_layout(), 5, hidden=10, num_layers=2)
    for layer in range(2):
        weight = network.layers.get_parameter(f"weight_hh_l{layer}").detach()
        for block in torch.split(weight, 10):
            torch.testing.assert_close(block @ block.T, torch.eye(10), atol=1e-5, rtol=0)
        bias = network.layers.get_parameter(f"bias_ih_l{layer}").detach().view(4, 10)
        assert bias[1].eq(1).all()
        assert bias[[0, 2, 3]].eq(0).all()


# Vectors of sites


def test_lookup_is_a_linear_map_of_the_vectors() -> None:
    for domain, sites in (("pixel", 3), ("dim", 1)):
        for ordinal in (False, True):
            layout = Layout(EventSpec((3, 2, 2), Discrete(4)), sites=domain)  # type: ignore[arg-type]
            vectors = SiteVectors(layout, 6, ordinal=ordinal, coordinates=True).double()
            weight, bias = torch.randn(7, 6).double(), torch.randn(7).double()
            values = torch.randint(4, (5, layout.num_sites, sites))
            expected = vectors(values) @ weight.T + bias
            lookup, out = SiteLookup(vectors, weight, bias), torch.empty(5, 7).double()
            for t in range(layout.num_sites):
                lookup(values[:, t - 1] if t else None, t, out)
                torch.testing.assert_close(out, expected[:, t])


def test_every_dim_of_a_pixel_and_every_coordinate_counts() -> None:
    layout = Layout(EventSpec((3, 2, 2), Discrete(4)), sites="pixel")
    vectors = SiteVectors(layout, 6, coordinates=True)
    one = vectors.of_values(torch.tensor([[0, 1, 2], [1, 0, 2], [0, 2, 1]]))
    assert len(one.unique(dim=0)) == 3
    places = vectors.of_places()
    assert places is not None
    assert len(places.unique(dim=0)) == 4


def test_real_values_are_not_called_ordinal() -> None:
    with pytest.raises(ValueError, match="ordinal is for discrete values of one"):
        SiteVectors(Layout(EventSpec((4,), Real())), 3, ordinal=True)


def test_ordinal_vectors_of_neighbours_lie_on_a_line() -> None:
    vectors = SiteVectors(make_layout(size=5), 3, ordinal=True)
    with torch.no_grad():
        vectors.of_values(torch.zeros(1, 1, dtype=torch.int64))
        assert vectors.table is not None
        vectors.table.weight.zero_()
        line = vectors.of_values(torch.arange(5).unsqueeze(1))
    torch.testing.assert_close(line[1:] - line[:-1], (line[1] - line[0]).expand(4, -1))


# The scan


def walked(keep: Tensor, add: Tensor, first: Tensor) -> Tensor:
    states = [first]
    for t in range(keep.shape[1]):
        states.append(keep[:, t] * states[-1] + add[:, t])
    return torch.stack(states[1:], 1)


@pytest.mark.parametrize("num_sites", [1, 2, 3, 4, 5, 9, 10, 17, 100])
def test_scan_is_the_walk_and_so_is_its_gradient(num_sites: int) -> None:
    keep = torch.rand(2, num_sites, 3, dtype=torch.float64, requires_grad=True)
    add = torch.randn(2, num_sites, 3, dtype=torch.float64, requires_grad=True)
    first = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, num_sites, 3, dtype=torch.float64)
    results = []
    for function in (scan, walked):
        states = function(keep, add, first)
        gradients = torch.autograd.grad((states * weights).sum(), (keep, add, first))
        results.append((states, *gradients))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_scan_keeps_its_digits_over_long_sequences_in_float32() -> None:
    """Where gates are shut for long, a scan by cumulative products would divide by 0."""
    keep = torch.rand(1, 5000, 4).pow(3)
    keep[:, 1000:3000, 0] = 1.0
    keep[:, ::7, 1] = 0.0
    add, first = torch.randn(1, 5000, 4), torch.randn(1, 4)
    expected = walked(keep.double(), add.double(), first.double())
    torch.testing.assert_close(scan(keep, add, first).double(), expected, rtol=1e-4, atol=1e-4)


def test_scan_changes_none_of_its_arguments() -> None:
    keep, add, first = torch.rand(2, 9, 3), torch.randn(2, 9, 3), torch.randn(2, 3)
    copies = [tensor.clone() for tensor in (keep, add, first)]
    scan(keep, add, first)
    assert all(torch.equal(a, b) for a, b in zip((keep, add, first), copies, strict=True))


# Settings, recipes, learning


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lstm", {"hidden": 0}, "at least 1, got 0, 1 and 64"),
        ("gru", {"num_layers": 0}, "at least 1, got 256, 0 and 64"),
        ("rnn", {"embedding": 0}, "at least 1"),
        ("rnn", {"dropout": 1.0}, "probability below 1"),
        ("lstm", {"weight_dropout": 1.0}, "probability below 1"),
        ("mingru", {"width": 0}, "at least 1 and perceptron at least 0"),
        ("mingru", {"perceptron": -1}, "perceptron at least 0"),
        ("mingru", {"dropout": -0.1}, "probability below 1"),
    ],
)
def test_unacceptable_settings_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        NETWORKS[name](make_layout(), 5, **options)


def test_models_have_the_recipes_of_their_own_packages() -> None:
    entries = {entry.name: entry.recipes for entry in arbench_entries}
    assert entries == {name: f"arbench_rnn.{name}" for name in NETWORKS}


def test_perceptrons_can_be_left_out() -> None:
    network = MinGRU(make_layout(), 5, width=8, hidden=12, num_blocks=2, perceptron=0)
    assert len(list(network.parts)) == 2
    assert_steps_are_forward(network.double(), torch.randint(5, (2, 12, 1)))


@pytest.mark.parametrize("name", NETWORKS)
def test_learns_what_came_first(name: str) -> None:
    """The last site repeats the first, six sites before; those between are noise."""
    layout = make_layout(7, size=2)
    options: Any = {"hidden": 24, "embedding": 8}
    if name == "mingru":  # its gates see the input alone, which has to say where it is
        options = {"hidden": 24, "width": 24, "num_blocks": 2, "coordinates": True}
    network = NETWORKS[name](layout, 1, **options)
    model = Model(network, natural_head(layout), layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(250):
        events = torch.randint(2, (64, 7))
        events[:, 6] = events[:, 0]
        optimizer.zero_grad()
        loss = -model.log_prob(events).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 6 * math.log(2) + 0.2  # six bits, and the seventh is known
