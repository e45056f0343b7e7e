"""FVSBN against its formulas in numpy, its prior against its definition."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from arbench.networks.pairwise import tents
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_fvsbn.network import FVSBN

SPEC = EventSpec((1, 2, 3), Discrete(2))
OPTIONS: list[dict[str, Any]] = [{}, {"locality": 1.5, "kernel_grids": [1, 2]}]


def make_model(layout: Layout, **arguments: Any) -> Model:
    """A float64 FVSBN whose weights are far from their first values."""
    head = natural_head(layout)
    network = FVSBN(layout, head.num_params, **arguments).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return Model(network, head, layout).eval()


def oracle_log_prob(network: FVSBN, event: np.ndarray) -> float:
    """Log-probability in nats: a softmax regression per site on centred one-hot values.

    The weights of pairs are read in the order (1, 0), (2, 0), (2, 1), (3, 0), ...
    """
    size, params = network.alphabet_size, network.num_params
    weight, bias = network.pairs.weight.detach().numpy(), network.bias.detach().numpy()
    blocks = weight.reshape(-1, params, network.num_features)
    total = 0.0
    for t, value in enumerate(event):
        logits = bias[t].copy()
        for s in range(t):
            one_hot = np.eye(size)[event[s]] - 1 / size
            features = one_hot[1:] if size == 2 else one_hot
            logits = logits + blocks[t * (t - 1) // 2 + s] @ features
        if params == 1:
            logits = np.array([0.0, logits[0]])
        total += logits[value] - np.log(np.exp(logits).sum())
    return float(total)


@pytest.mark.parametrize("size", [2, 3])
def test_log_prob_equals_the_formula(size: int) -> None:
    model = make_model(Layout(EventSpec((6,), Discrete(size))))
    events = torch.randint(size, (20, 6))
    expected = [oracle_log_prob(model.network, event) for event in events.numpy()]
    np.testing.assert_allclose(model.log_prob(events).detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", [None, 1])
def test_probabilities_of_all_events_sum_to_one(
    size: int, options: dict[str, Any], seed: int | None
) -> None:
    spec = EventSpec((1, 2, 3), Discrete(size))
    layout = Layout(spec) if seed is None else Layout.permuted(spec, seed)
    model = make_model(layout, **options)
    events = torch.tensor(list(itertools.product(range(size), repeat=6))).view(-1, 1, 2, 3)
    assert abs(model.log_prob(events).exp().sum().item() - 1) < 1e-9


@pytest.mark.parametrize("options", OPTIONS)
def test_matrix_is_strictly_triangular_and_training_keeps_it_so(options: dict[str, Any]) -> None:
    model = make_model(Layout(SPEC), **options)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (-model.log_prob(torch.randint(2, (8, 1, 2, 3))).mean()).backward()
        optimizer.step()
        matrix = model.network.pairs()
        assert not bool(matrix.triu().any())
        assert bool((matrix.tril(-1) != 0).sum() == 15)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [2, 4])
def test_step_equals_forward_and_causality(options: dict[str, Any], size: int) -> None:
    model = make_model(Layout(EventSpec((1, 3, 4), Discrete(size))), **options)
    sites = torch.randint(size, (6, 12, 1))
    params = model.network(sites)
    state, previous = model.network.init_state(6), None
    for t in range(12):
        stepped, state = model.network.step(state, previous, t)
        torch.testing.assert_close(stepped, params[:, t], rtol=0, atol=1e-12)
        previous = sites[:, t]
    changed = sites.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % size
    torch.testing.assert_close(model.network(changed)[:, :8], params[:, :8], rtol=0, atol=1e-12)
    assert bool((model.network(changed)[:, 8:] != params[:, 8:]).any())


def test_binary_parameters_are_n_times_n_plus_1_over_2() -> None:
    for n in (1, 5, 784):
        network = FVSBN(Layout(EventSpec((n,), Discrete(2))), 1)
        assert network.num_free_parameters == n * (n + 1) // 2
        assert sum(p.numel() for p in network.parameters()) == n * (n + 1) // 2
    shared = FVSBN(Layout(SPEC), 1, kernel_grids=[1])
    assert shared.num_free_parameters == 21


@pytest.mark.parametrize("seed", [None, 4])
def test_pairs_that_lie_alike_share_a_kernel_of_one_grid_point(seed: int | None) -> None:
    spec = EventSpec((1, 4, 5), Discrete(2))
    layout = Layout(spec) if seed is None else Layout.permuted(spec, seed)
    model = make_model(layout, kernel_grids=[1])
    torch.nn.init.zeros_(model.network.pairs.weight)
    matrix, where = model.network.pairs(), layout.coordinates.tolist()
    by_offset: dict[tuple[int, ...], set[float]] = {}
    for t, s in itertools.combinations(range(20), 2):
        offset = tuple(a - b for a, b in zip(where[s], where[t], strict=True))
        by_offset.setdefault(offset, set()).add(round(matrix[s, t].item(), 12))
    assert all(len(values) == 1 for values in by_offset.values())
    assert len(set.union(*by_offset.values())) == len(by_offset)


def test_weights_of_a_pair_shrink_with_distance() -> None:
    layout = Layout(EventSpec((1, 6, 6), Discrete(2)))
    network = FVSBN(layout, 1, locality=2.0)
    torch.nn.init.ones_(network.pairs.weight)
    matrix, where = network.pairs(), layout.coordinates.double()
    for t, s in ((1, 0), (13, 0), (35, 0), (35, 34)):
        expected = (where[t] - where[s]).norm().item() ** -2
        assert math.isclose(matrix[t, s].item(), expected, rel_tol=1e-6)


def test_tents_interpolate() -> None:
    coordinates = torch.cartesian_prod(torch.arange(5), torch.arange(3))
    weights = tents(coordinates, 2)
    torch.testing.assert_close(weights.sum(1), torch.ones(15))
    # Interpolating the corners' own coordinates gives each place's coordinates.
    corners = torch.tensor([[0.0, 0], [0, 2], [4, 0], [4, 2]])
    torch.testing.assert_close(weights @ corners, coordinates.float())
    # An axis shorter than the grid has one tent per place: nothing is interpolated.
    torch.testing.assert_close(tents(coordinates, 9), torch.eye(15))


def test_steps_by_hand_keep_no_graph() -> None:
    network = FVSBN(Layout(SPEC), 1)
    params, state = network.step(network.init_state(2), None, 0)
    assert not params.requires_grad
    assert not any(part.requires_grad for part in state)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="smaller events or alphabets"):
        FVSBN(Layout(EventSpec((1, 28, 28), Discrete(256))), 256)
    with pytest.raises(ValueError, match="at least 1 point"):
        FVSBN(Layout(SPEC), 1, kernel_grids=[0])
    with pytest.raises(ValueError, match="kernel_range is positive"):
        FVSBN(Layout(SPEC), 1, kernel_range=0)
    with pytest.raises(ValueError, match="locality is at least 0"):
        FVSBN(Layout(SPEC), 1, locality=-1)
