"""Distributions of dims, against sums over all events."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from brute_force import LAYOUTS, scored_after, table_log_probs, table_model
from numpy.typing import NDArray
from torch import Tensor

from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Categorical, Gaussian, LogisticMixture
from arbench.probability.heads.copies import copies_of
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.toys import JointCategorical, LinearNetwork, SteppingTable, all_events

PIXELS = Layout(EventSpec((3, 1, 2), Discrete(3)), order=[1, 0], sites="pixel")


def by_sums(layout: Layout, probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Conditionals `(N, *shape, K)` of all events from their probabilities `(N,)`.

    `p(x_d = k | x_<d)` is a sum over all events that agree before d, by the layout's order.
    """
    size, num_dims = layout.alphabet_size, layout.spec.num_dims
    events = layout.to_sites(all_events(layout.spec)).flatten(1).numpy()
    found = np.zeros((len(events), num_dims, size))
    codes = np.zeros(len(events), dtype=np.int64)
    for dim in range(num_dims):
        masses = np.zeros((codes.max() + 1, size))
        np.add.at(masses, (codes, events[:, dim]), probs)
        found[:, dim] = masses[codes] / masses[codes].sum(-1, keepdims=True)
        codes = codes * size + events[:, dim]
    sites = torch.from_numpy(found).view(len(events), layout.num_sites, layout.site_dim, size)
    parts = [layout.to_events(sites[..., k]) for k in range(size)]
    return torch.stack(parts, -1).numpy()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_they_are_sums_over_all_events_that_begin_alike(layout: Layout) -> None:
    model = table_model(layout)
    found = model.conditionals(all_events(layout.spec))
    assert found.dtype == torch.float64
    expected = by_sums(layout, np.exp(table_log_probs(model)))
    np.testing.assert_allclose(found.exp().numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_channels_of_a_pixel_come_one_after_the_other(seed: int) -> None:
    head = LogisticMixture(PIXELS, num_components=3)
    network = SteppingTable(PIXELS, head.num_params, seed=seed, scale=2.0)
    model = Model(network, head, PIXELS).double().eval()
    events = all_events(PIXELS.spec)
    probs = model.log_prob(events).exp().detach().numpy()
    found = model.conditionals(events).exp().numpy()
    np.testing.assert_allclose(found, by_sums(PIXELS, probs), rtol=1e-8, atol=1e-12)


def test_a_mixture_in_one_order_weighs_its_members_by_what_came_before() -> None:
    layout = Layout.permuted(EventSpec((5,), Discrete(3)), 4)
    mixture = Ensemble([table_model(layout, seed=seed) for seed in range(3)])
    events = all_events(layout.spec)
    probs = mixture.log_prob(events).exp().detach().numpy()
    found = mixture.conditionals(events).exp().numpy()
    np.testing.assert_allclose(found, by_sums(layout, probs), rtol=1e-9, atol=1e-12)


def test_context_moves_no_weights_of_a_mixture() -> None:
    """A window's scored block has the log-probability that the mixture gives it."""
    spec = EventSpec((5,), Discrete(3))
    mixture = Ensemble([table_model(Layout(spec), seed=seed) for seed in range(2)])
    events = all_events(spec)
    scored = scored_after(spec, len(events))
    own = mixture.conditionals(events, scored).gather(-1, events[..., None]).squeeze(-1)
    total = own.masked_fill(~scored, 0.0).sum(1)
    torch.testing.assert_close(total, mixture.log_prob(events, scored).detach())


def test_copies_of_a_network_have_those_of_their_average() -> None:
    layout = Layout(EventSpec((4,), Discrete(3)))
    single = [table_model(layout, seed=seed) for seed in range(2)]
    head = Categorical(layout)
    model = Model(copies_of([each.network for each in single], head), head, layout).double().eval()
    events = all_events(layout.spec)
    mean = torch.stack([each.conditionals(events).exp() for each in single]).mean(0)
    torch.testing.assert_close(model.conditionals(events).exp(), mean)


def test_they_are_in_float64_whatever_the_weights() -> None:
    model = table_model(LAYOUTS["sequence-5-raster"]).float()
    events = all_events(model.spec)[:50]
    found = model.conditionals(events)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(50, 5).double(), atol=1e-14, rtol=0)
    own = found.gather(-1, events[..., None]).sum((1, 2))
    torch.testing.assert_close(own, model.log_prob(events).detach(), atol=1e-5, rtol=0)
    assert not found.requires_grad


def offers(density: object) -> bool:
    """Whether it has any, as the core asks it."""
    return callable(getattr(density, "conditionals", None))


def test_they_are_offered_where_they_mean_something() -> None:
    real = Layout(EventSpec((2,), Real()))
    joint = JointCategorical(PIXELS)
    orders = [Layout.permuted(EventSpec((5,), Discrete(2)), seed) for seed in (1, 2)]
    assert not offers(Model(LinearNetwork(real, 2), Gaussian(real), real))
    assert not offers(Model(SteppingTable(PIXELS, joint.num_params), joint, PIXELS))
    assert not offers(Ensemble([table_model(layout) for layout in orders]))
    assert offers(Ensemble([table_model(orders[0], seed=seed) for seed in (1, 2)]))
    model = table_model(orders[0])
    assert offers(model)
    assert offers(copy.deepcopy(model))


def test_events_that_have_no_log_prob_have_none() -> None:
    layout = Layout(EventSpec((3,), Discrete(3)), order=[2, 0, 1])
    model = table_model(layout)

    def refuses(events: Tensor, scored: Tensor | None, why: str) -> None:
        for ask in (model.conditionals, model.log_prob):
            with pytest.raises(ValueError, match=why):
                ask(events, scored)

    refuses(torch.tensor([[0, 1, 3]]), None, "found 3")
    ended = torch.tensor([[True, True, False]])
    refuses(torch.tensor([[0, 1, 2]]), ended, "has no likelihood in this order")
