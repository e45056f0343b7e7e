"""Conditional tables against a count in plain Python, and their geometry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_cpt.network import Tables


def make_model(layout: Layout, neighbours: int, smoothing: float = 1.0) -> Model:
    head = natural_head(layout)
    network = Tables(layout, head.num_params, neighbours=neighbours, smoothing=smoothing)
    return Model(network.double(), head, layout)


def oracle_prob(
    seen: Sequence[Sequence[int]], event: Sequence[int], t: int, size: int, k: int, s: float
) -> float:
    """`p(event[t] | the k previous values)`, from counting `seen`, longest context last."""
    prob = 1 / size
    for length in range(min(k, t) + 1):
        alike = [row for row in seen if row[t - length : t] == event[t - length : t]]
        hits = sum(row[t] == event[t] for row in alike)
        prob = (hits + s * prob) / (len(alike) + s)
    # A missing neighbour is a context of its own that always occurs: it smooths once more.
    for _ in range(k - min(k, t)):
        alike = [row for row in seen if row[:t] == event[:t]]
        hits = sum(row[t] == event[t] for row in alike)
        prob = (hits + s * prob) / (len(alike) + s)
    return prob


@pytest.mark.parametrize(("size", "neighbours"), [(2, 3), (3, 2), (2, 0), (2, 9)])
def test_fit_counts_as_the_formula_says(size: int, neighbours: int) -> None:
    model = make_model(Layout(EventSpec((5,), Discrete(size))), neighbours, smoothing=1.5)
    seen = torch.randint(size, (30, 5))
    model.network.fit([(seen[:7, :, None], None), (seen[7:, :, None], None)])
    events = torch.randint(size, (20, 5))
    rows, k = seen.tolist(), min(neighbours, 4)
    expected = [
        sum(math.log(oracle_prob(rows, e, t, size, k, 1.5)) for t in range(5))
        for e in events.tolist()
    ]
    torch.testing.assert_close(
        model.log_prob(events), torch.tensor(expected).double(), rtol=0, atol=1e-6
    )


def all_events(layout: Layout, size: int) -> Tensor:
    values = itertools.product(range(size), repeat=layout.spec.num_dims)
    return torch.tensor(list(values)).view(-1, *layout.spec.shape)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("permuted", [False, True])
def test_probabilities_of_all_events_sum_to_one(size: int, permuted: bool) -> None:
    spec = EventSpec((1, 2, 3), Discrete(size))
    layout = Layout.permuted(spec, 3) if permuted else Layout(spec)
    model = make_model(layout, 3)
    model.network.fit([(torch.randint(size, (20, 6, 1)), None)])
    total = model.log_prob(all_events(layout, size)).exp().sum().item()
    assert abs(total - 1) < 1e-9


def test_context_of_a_pixel_is_its_nearest_earlier_neighbours() -> None:
    layout = Layout(EventSpec((1, 4, 4), Discrete(2)))
    context = make_model(layout, 4).network.context
    # Row 2, column 2: west and north at distance 1, then the diagonals, later one first.
    assert context[10, :2].tolist() == [9, 6]
    assert context[10, 2:].tolist() == [7, 5]
    assert context[0].tolist() == [16] * 4
    assert context[1].tolist() == [0, 16, 16, 16]


def test_context_in_a_permuted_order_is_near_and_earlier() -> None:
    layout = Layout.permuted(EventSpec((1, 4, 4), Discrete(2)), 5)
    context, where = make_model(layout, 3).network.context, layout.coordinates.double()
    for t in range(3, 16):
        gaps = (where[:t] - where[t]).norm(dim=-1)
        assert int(context[t].max()) < t
        assert torch.equal(gaps[context[t]].sort().values, gaps.sort().values[:3])


def test_step_equals_forward_and_causality() -> None:
    layout = Layout(EventSpec((1, 3, 4), Discrete(3)))
    model = make_model(layout, 3)
    model.network.fit([(torch.randint(3, (50, 12, 1)), None)])
    sites = torch.randint(3, (6, 12, 1))
    params = model.network(sites)
    state, previous = model.network.init_state(6), None
    for t in range(12):
        stepped, state = model.network.step(state, previous, t)
        assert torch.equal(stepped, params[:, t])
        previous = sites[:, t]
    changed = sites.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 3
    assert torch.equal(model.network(changed)[:, :8], params[:, :8])


def test_tables_recover_a_markov_chain() -> None:
    first = torch.rand(20000, 1) < 0.5
    flips = torch.rand(20000, 5) < 0.1
    chain = torch.cat([first, flips], 1).long().cumsum(1) % 2
    model = make_model(Layout(EventSpec((6,), Discrete(2))), 2)
    model.network.fit([(chain.unsqueeze(-1), None)])
    entropy = math.log(2) - 5 * (0.1 * math.log(0.1) + 0.9 * math.log(0.9))
    assert abs(-model.log_prob(chain).mean().item() - entropy) < 0.02


def test_sites_not_scored_serve_as_context_only() -> None:
    model = make_model(Layout(EventSpec((3,), Discrete(2))), 1, smoothing=1e-9)
    sites = torch.tensor([[1, 1, 0]] * 5 + [[0, 0, 0]] * 5).unsqueeze(-1)
    scored = torch.tensor([[True, True, True]] * 5 + [[False, False, True]] * 5)
    model.network.fit([(sites, scored)])
    probs = model.network.log_probs.exp()
    torch.testing.assert_close(probs[0, 0, 1].item(), 1.0)
    # Context 0 of site 2 occurs only where site 1 is not scored; its outcome is still counted.
    torch.testing.assert_close(probs[2, 0, 0].item(), 1.0)


def test_refusals() -> None:
    layout = Layout(EventSpec((1, 28, 28), Discrete(256)))
    with pytest.raises(ValueError, match="use fewer neighbours"):
        Tables(layout, 256, neighbours=3)
    with pytest.raises(ValueError, match="smoothing must be positive"):
        Tables(layout, 256, neighbours=0, smoothing=0)
    with pytest.raises(ValueError, match="at least 0"):
        Tables(layout, 256, neighbours=-1)
