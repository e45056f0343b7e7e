"""NADE against its formulas: an oracle in numpy, a loop in autograd, all events of tiny layouts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_nade import arbench_entries
from arbench_nade.kernel import all_sites
from arbench_nade.network import NADE
from arbench_nade.state import NADEState


def make_model(num_sites: int = 7, size: int = 2, **arguments: Any) -> Model:
    """A small float64 NADE whose weights are far from their first values."""
    layout = Layout(EventSpec((num_sites,), Discrete(size)))
    head = natural_head(layout)
    network = NADE(layout, head.num_params, **{"hidden": 5, **arguments}).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return Model(network, head, layout).eval()


def oracle_log_prob(network: NADE, event: np.ndarray) -> float:
    """Log-probability in nats, conditional by conditional as the paper writes it."""
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    size, total = max(2, network.num_features), 0.0
    for t, value in enumerate(event):
        first = 0 if network.tied else t * (t - 1) // 2
        pre = (weights["bias"] if network.tied else weights["bias"][t]).copy()
        for s in range(t):
            for k in range(1, 2) if size == 2 else range(size):
                feature = k - 1 if size == 2 else k
                pre = pre + weights["weight"][first + s, feature] * float(event[s] == k)
        if network.activation == "relu":
            hidden = np.where(pre > 0, pre, 0)
        else:
            hidden = 1 / (1 + np.exp(-pre))
        logits = weights["readout_bias"][t] + weights["readout"][t] @ hidden
        logits = np.array([0.0, logits[0]]) if size == 2 else logits
        total += logits[value] - np.log(np.exp(logits).sum())
    return float(total)


def loop(
    features: Tensor, weight: Tensor, bias: Tensor, readout: Tensor, readout_bias: Tensor, name: str
) -> Tensor:
    """What `all_sites` computes, as a plain loop for autograd."""
    pre, params = bias.expand(len(features), -1), []
    for t in range(features.shape[1]):
        hidden = pre.relu() if name == "relu" else pre.sigmoid()
        params.append(hidden @ readout[t].T + readout_bias[t])
        pre = pre + features[:, t] @ weight[t]
    return torch.stack(params, 1)


def random_problem(
    batch_size: int, num_sites: int, num_features: int, num_params: int, num_hidden: int
) -> tuple[Tensor, list[Tensor]]:
    features = torch.randn(batch_size, num_sites, num_features).double()
    features *= torch.rand(batch_size, num_sites, 1) < 0.5
    shapes = [
        (num_sites, num_features, num_hidden),
        (num_hidden,),
        (num_sites, num_params, num_hidden),
        (num_sites, num_params),
    ]
    return features, [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_log_prob_is_the_papers(tied: bool, size: int, activation: str) -> None:
    model = make_model(size=size, tied=tied, activation=activation)
    events = torch.randint(size, (20, 7))
    expected = [oracle_log_prob(model.network, event) for event in events.numpy()]
    torch.testing.assert_close(
        model.log_prob(events), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("num_sites", "size"), [(10, 2), (5, 4), (1, 3)])
def test_all_events_together_have_probability_one(tied: bool, num_sites: int, size: int) -> None:
    model = make_model(num_sites, size, tied=tied)
    events = torch.tensor(list(itertools.product(range(size), repeat=num_sites)))
    assert abs(model.log_prob(events).exp().sum().item() - 1) < 1e-9


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [2, 3])
def test_parameters_see_earlier_sites_and_no_others(tied: bool, size: int) -> None:
    model = make_model(40, size, tied=tied, activation="sigmoid")
    sites = torch.randint(size, (6, 40, 1))
    before = model.network(sites)
    for t in range(40):
        changed = sites.clone()
        changed[:, t:] = (changed[:, t:] + torch.randint(1, size, (6, 40 - t, 1))) % size
        after = model.network(changed)
        torch.testing.assert_close(after[:, : t + 1], before[:, : t + 1], rtol=1e-12, atol=1e-12)
        if t < 39:
            assert not torch.allclose(after[:, t + 1], before[:, t + 1], atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize(("num_features", "num_params"), [(1, 1), (3, 3), (1, 4)])
@pytest.mark.parametrize("block_size", [1, 4, 13, 50])
@pytest.mark.parametrize("batch_size", [1, 6])
def test_kernel_equals_a_plain_loop(
    activation: Any, num_features: int, num_params: int, block_size: int, batch_size: int
) -> None:
    features, weights = random_problem(batch_size, 13, num_features, num_params, 5)
    expected = loop(features, *weights, activation)
    upstream = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, weights, upstream)
    actual = all_sites(features, *weights, activation, block_size)
    found = torch.autograd.grad(actual, weights, upstream)
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


def test_kernel_gradients_are_those_of_finite_differences() -> None:
    features, weights = random_problem(3, 7, 2, 2, 4)
    assert torch.autograd.gradcheck(lambda *w: all_sites(features, *w, "sigmoid", 3), weights)


def test_kernel_gradient_adds_up_over_a_concatenated_batch() -> None:
    features, weights = random_problem(8, 11, 1, 1, 4)

    def gradients(batch: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(all_sites(batch, *weights, "relu", 4).sum(), weights)

    halves = [gradients(half) for half in features.split(4)]
    together = [a + b for a, b in zip(*halves, strict=True)]
    torch.testing.assert_close(list(gradients(features)), together, rtol=1e-12, atol=1e-12)


def test_a_single_event_leaves_the_weights_alone() -> None:
    features, weights = random_problem(1, 9, 1, 1, 4)
    before = [weight.detach().clone() for weight in weights]
    all_sites(features, *weights, "relu").sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(weights, before, strict=True))


def test_memory_kept_for_the_backward_pass_is_far_below_all_hidden_units() -> None:
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    features, weights = random_problem(50, 280, 1, 1, 64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        all_sites(features, *weights, "relu")
    assert sum(kept) < 50 * 280 * 64 / 10 + sum(w.numel() for w in weights)


def addresses(state: NADEState) -> list[int]:
    """Where the tensors are that a step may write to."""
    kept = [state.pre, state.hidden, state.told, state.features]
    return [tensor.data_ptr() for tensor in kept if isinstance(tensor, Tensor)]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_step_equals_forward(tied: bool, size: int, activation: str) -> None:
    network = make_model(33, size, tied=tied, activation=activation).network
    sites = torch.randint(size, (4, 33, 1))
    state = network.init_state(4)
    storage = addresses(state)
    assert storage
    params = []
    for t in range(33):
        own, state = network.step(state, sites[:, t - 1] if t else None, t)
        params.append(own)
    torch.testing.assert_close(torch.stack(params, 1), network(sites), rtol=1e-11, atol=1e-11)
    assert addresses(state) == storage


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [2, 3])
def test_samplers_agree(tied: bool, size: int) -> None:
    model = make_model(20, size, tied=tied)
    noise = model.draw_noise(16, torch.Generator().manual_seed(1))
    samples = [model.sample(16, noise=noise, method=m) for m in model.samplers]
    assert len(samples) == 3
    assert all(torch.equal(samples[0], other) for other in samples[1:])


def test_one_event_can_be_memorised() -> None:
    model = make_model(16, 3, hidden=8).train()
    event = torch.randint(3, (1, 16))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = -model.log_prob(event).sum()
        loss.backward()
        optimizer.step()
    assert -model.log_prob(event).item() < 0.05


def test_number_of_weights_is_the_stated_one() -> None:
    layout = Layout(EventSpec((9,), Discrete(4)))
    tied = sum(p.numel() for p in NADE(layout, 4, hidden=6).parameters())
    untied = sum(p.numel() for p in NADE(layout, 4, hidden=6, tied=False).parameters())
    assert tied == 9 * (4 + 4) * 6 + 6 + 9 * 4
    assert untied == 9 * 8 // 2 * 4 * 6 + 9 * 6 + 9 * 4 * 6 + 9 * 4


@pytest.mark.parametrize("tied", [True, False])
def test_a_small_readout_starts_near_independent_sites(tied: bool) -> None:
    layout = Layout(EventSpec((30,), Discrete(2)))
    sites = torch.randint(2, (50, 30, 1))
    deviations = []
    for scale in (1.0, 1e-3):
        torch.manual_seed(0)
        network = NADE(layout, 1, tied=tied, readout_scale=scale)
        deviations.append((network(sites) - network.readout_bias).std())
    assert deviations[0] > 0.3
    torch.testing.assert_close(deviations[1], 1e-3 * deviations[0], rtol=1e-3, atol=0)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [2, 3])
def test_direct_weights_carry_earlier_values_straight_to_the_parameters(
    tied: bool, size: int
) -> None:
    model = make_model(5, size, tied=tied, direct=True, locality=1.0, kernel_grids=[1, 2])
    plain = make_model(5, size, tied=tied)
    plain.network.load_state_dict(model.network.state_dict(), strict=False)
    sites = torch.randint(size, (6, 5, 1))
    difference = (model.network(sites) - plain.network(sites)).detach().numpy()
    matrix = model.network.pairs().detach().numpy()
    num_params, width = (1, 1) if size == 2 else (size, size)
    for b, t in itertools.product(range(6), range(5)):
        expected = np.zeros(num_params)
        for s in range(t):
            value = int(sites[b, s])
            block = matrix[t * num_params : (t + 1) * num_params, s * width : (s + 1) * width]
            expected += block[:, 0] * value if size == 2 else block[:, value]
        assert np.allclose(difference[b, t], expected, atol=1e-12)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [2, 3])
def test_direct_weights_keep_every_promise(tied: bool, size: int) -> None:
    model = make_model(5, size, tied=tied, direct=True, kernel_grids=[1])
    events = torch.tensor(list(itertools.product(range(size), repeat=5)))
    assert model.log_prob(events).exp().sum().item() == pytest.approx(1, abs=1e-9)
    sites = events[:7].unsqueeze(-1)
    params, state, previous = model.network(sites), model.network.init_state(7), None
    for t in range(5):
        stepped, state = model.network.step(state, previous, t)
        assert torch.allclose(stepped, params[:, t], atol=1e-12)
        previous = sites[:, t]
    model.log_prob(events).sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_untied_conditionals_share_nothing() -> None:
    model = make_model(6, tied=False)
    sites = torch.ones((1, 6, 1), dtype=torch.int64)
    model.network(sites)[:, 3].sum().backward()
    rows = model.network.weight.grad.abs().sum((1, 2)).nonzero().flatten()
    assert set(rows.tolist()) <= {3, 4, 5}
    assert model.network.bias.grad.abs().sum(1).nonzero().flatten().tolist() == [3]


def test_autocast_computes_in_float32() -> None:
    model = make_model().float()
    events = torch.randint(2, (8, 7))
    expected = model.log_prob(events)
    expected.sum().backward()
    wanted = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = model.log_prob(events)
        actual.sum().backward()
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close([p.grad for p in model.parameters()], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["dropout", "input_dropout"])
def test_dropout_is_off_in_evaluation_and_keeps_causality_in_training(name: str) -> None:
    network = make_model(12, **{name: 0.5}).network
    sites = torch.randint(2, (4, 12, 1))
    assert torch.equal(network(sites), network(sites))
    network.train()
    assert not torch.equal(network(sites), network(sites))
    changed = sites.clone()
    changed[:, 6:] = 1 - changed[:, 6:]
    outputs = []
    for batch in (sites, changed):
        torch.manual_seed(3)
        outputs.append(network(batch)[:, :7])
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", ["dropout", "input_dropout"])
def test_dropout_silences_some_and_scales_up_the_others(name: str, tied: bool) -> None:
    """Of rate 3/4 and without a bias, site 1 hears nothing of site 0, or four times as much."""
    network = make_model(2, hidden=1, tied=tied, **{name: 0.75}).network
    with torch.no_grad():
        network.weight.abs_()
        network.bias.zero_()
    sites = torch.ones((30, 2, 1), dtype=torch.int64)
    undisturbed = (network(sites) - network.readout_bias)[:, 1]
    network.train()
    factors = torch.stack(
        [(network(sites) - network.readout_bias)[:, 1] / undisturbed for _ in range(30)]
    )
    assert set(factors.round(decimals=9).flatten().tolist()) == {0.0, 4.0}
    # A hidden unit is silent for a whole batch, a value for one event of it.
    assert bool((factors == factors[:, :1]).all()) == (name == "dropout")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu() -> None:
    model = make_model(60, hidden=16)
    events = torch.randint(2, (9, 60))
    expected = model.log_prob(events)
    (wanted,) = torch.autograd.grad(expected.sum(), [model.network.weight])
    model = model.cuda()
    actual = model.log_prob(events)
    (found,) = torch.autograd.grad(actual.sum(), [model.network.weight])
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "arguments",
    [
        {"hidden": 0},
        {"activation": "tanh"},
        {"dropout": 1.0},
        {"input_dropout": -0.1},
        {"readout_scale": 0.0},
        {"locality": 1.0},  # without direct weights
        {"kernel_grids": [1]},
        {"kernel_range": 0.0, "direct": True},
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        NADE(Layout(EventSpec((4,), Discrete(2))), 1, **arguments)


def test_real_data_and_pixel_sites_are_refused() -> None:
    with pytest.raises(ValueError, match="discrete"):
        NADE(Layout(EventSpec((4,), Real())), 1)
    with pytest.raises(ValueError, match="one dim at a time"):
        NADE(Layout(EventSpec((3, 2, 2), Discrete(2)), sites="pixel"), 3)


def test_the_plugin_offers_nade() -> None:
    (entry,) = arbench_entries
    assert (entry.name, entry.network) == ("nade", "arbench_nade.network:NADE")
