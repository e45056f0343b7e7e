"""RNADE against its formulas in numpy, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats

import arbench
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Gaussian, GaussianMixture, Head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing import conformance
from arbench.testing.tiny import TINY_EVENTS
from arbench_rnade import arbench_entries
from arbench_rnade.network import RNADE

REALS = {name: tiny for name, tiny in TINY_EVENTS.items() if tiny.is_real}

test_with_the_sigmoid_and_no_rescaling = conformance(
    RNADE, specs=REALS, hyperparameters={"hidden": 8, "activation": "sigmoid", "rescale": False}
)
test_with_one_gaussian = conformance(
    RNADE, specs=REALS, head=lambda layout: Gaussian(layout, min_log_scale=-3.0)
)


def make_model(head: type[Head], num_sites: int = 6, **arguments: Any) -> Model:
    """A small float64 RNADE whose weights are far from their first values."""
    layout = Layout(EventSpec((num_sites,), Real()))
    made = head(layout)
    network = RNADE(layout, made.num_params, **{"hidden": 5, **arguments}).double()
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return Model(network, made, layout).eval()


def oracle_params(network: RNADE, event: np.ndarray) -> np.ndarray:
    """Parameters `(T, P)`, conditional by conditional as the paper writes it."""
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    params = []
    for t in range(len(event)):
        pre = weights["bias"] + sum(event[s] * weights["weight"][s] for s in range(t))
        pre = pre * (weights["rescaling"][t] if "rescaling" in weights else 1)
        hidden = np.maximum(pre, 0) if network.activation == "relu" else special.expit(pre)
        params.append(weights["readout_bias"][t] + hidden @ weights["readout"][t])
    return np.array(params)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("rescale", [True, False])
def test_log_densities_are_those_of_the_formulas(activation: str, rescale: bool) -> None:
    model = make_model(Gaussian, activation=activation, rescale=rescale)
    events = torch.randn(4, 6, dtype=torch.float64)
    expected = []
    for event in events.numpy():
        mean, raw = oracle_params(model.network, event).T
        expected.append(stats.norm.logpdf(event, mean, np.exp(np.logaddexp(0, raw + 7) - 7)).sum())
    np.testing.assert_allclose(model.log_prob(events).detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("head", [Gaussian, GaussianMixture])
def test_steps_are_the_forward_pass(head: type[Head]) -> None:
    model = make_model(head)
    sites = torch.randn(7, 6, 1, dtype=torch.float64)
    params, state, previous = model.network(sites), model.network.init_state(7), None
    for t in range(6):
        stepped, state = model.network.step(state, previous, t)
        torch.testing.assert_close(stepped, params[:, t], rtol=1e-12, atol=1e-12)
        previous = sites[:, t]


def test_weights_grow_with_the_number_of_sites_and_not_its_square() -> None:
    for num_sites in (1, 9, 90):
        layout = Layout(EventSpec((num_sites,), Real()))
        found = sum(p.numel() for p in RNADE(layout, 4, hidden=6).parameters())
        assert found == (num_sites - 1) * 6 + 6 + num_sites + num_sites * (6 * 4 + 4)


def test_it_starts_near_what_zeros_mean_to_the_head() -> None:
    layout = Layout(EventSpec((50,), Real()))
    torch.manual_seed(0)
    model = Model(RNADE(layout, 30), GaussianMixture(layout), layout)
    events = torch.randn(200, 50)
    normal = stats.norm.logpdf(events.numpy()).sum(1)
    gap = normal.mean() - model.log_prob(events).mean().item()
    assert 0 < gap / 50 < 0.05


def test_a_strong_dependence_is_learned() -> None:
    """Every other value repeats the one before it, give or take 0.1."""
    torch.manual_seed(0)
    layout = Layout(EventSpec((4,), Real()))
    model = Model(RNADE(layout, 2, hidden=16), Gaussian(layout), layout)
    first = torch.randn(500, 2)
    events = torch.stack((first, first + 0.1 * torch.randn(500, 2)), -1).flatten(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        loss = -model.log_prob(events).mean()
        torch.autograd.backward(loss)
        optimizer.step()
    entropy = 2 * (stats.norm.entropy() + stats.norm(scale=0.1).entropy())
    assert loss.item() < entropy + 0.3
    drawn = model.eval().sample(500, generator=torch.Generator().manual_seed(1))
    assert (drawn[:, 1::2] - drawn[:, ::2]).std().item() == pytest.approx(0.1, rel=0.3)


def test_other_data_and_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="needs real dims .* use nade for discrete data"):
        RNADE(Layout(EventSpec((4,), Discrete(2))), 2)
    with pytest.raises(ValueError, match="3 dims per site"):
        RNADE(Layout(EventSpec((3, 1, 2), Real()), sites="pixel"), 2)
    layout = Layout(EventSpec((4,), Real()))
    with pytest.raises(ValueError, match="hidden must be at least 1, got 0"):
        RNADE(layout, 2, hidden=0)
    with pytest.raises(ValueError, match="activation must be 'relu' or 'sigmoid', got 'tanh'"):
        RNADE(layout, 2, activation="tanh")  # type: ignore[arg-type]


def test_the_plugin_offers_rnade() -> None:
    (entry,) = arbench_entries
    assert (entry.name, entry.network) == ("rnade", "arbench_rnade.network:RNADE")


def test_a_run_on_toy_ar1_is_a_density_with_a_gap_to_the_truth(tmp_path: Path) -> None:
    run = arbench.run("toy-ar1", "rnade", epochs=1, limit=300, device="cpu", out=tmp_path / "run")
    record = json.loads((run.path / "record.json").read_text())
    test = record["measurements"]["likelihood"]["test"]
    assert (test["kind"], test["bits_per_dim"]) == ("density", None)
    assert record["measurements"]["truth"]["gap_nats_per_event"] > 0
