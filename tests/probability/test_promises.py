"""Promises: surprise has mean 0 for right samples, however skewed, and not for wrong ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import (
    Bernoulli,
    Categorical,
    Gaussian,
    GaussianMixture,
    Head,
    LogisticMixture,
)
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.promises import Surprise, event_surprise, site_surprise

NUM_SITES = 40


class Chain(nn.Module):
    """Parameters are random numbers that depend on the value before."""

    def __init__(self, layout: Layout, num_params: int, scale: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        shape = (2, layout.num_sites, num_params)
        self.tables = nn.Parameter(scale * torch.randn(shape, generator=generator))

    def forward(self, sites: Tensor) -> Tensor:
        before = sites[:, :, 0].roll(1, 1) > 0
        before[:, 0] = False
        return torch.where(before[..., None], self.tables[1], self.tables[0])


def model_of(name: str, scale: float = 1.0) -> Model:
    """A model of 40 sites with a head."""
    heads: dict[str, tuple[EventSpec, type[Head], str]] = {
        "bits": (EventSpec((NUM_SITES,), Discrete(2)), Bernoulli, "dim"),
        "letters": (EventSpec((NUM_SITES,), Discrete(6)), Categorical, "dim"),
        "levels": (EventSpec((NUM_SITES,), Discrete(9)), LogisticMixture, "dim"),
        "fine levels": (EventSpec((NUM_SITES,), Discrete(5000)), LogisticMixture, "dim"),
        "pixels": (EventSpec((3, 5, 8), Discrete(7)), LogisticMixture, "pixel"),
        "normal": (EventSpec((NUM_SITES,), Real()), Gaussian, "dim"),
        "mixture": (EventSpec((NUM_SITES,), Real()), GaussianMixture, "dim"),
    }
    spec, head_class, sites = heads[name]
    layout = Layout(spec, sites=sites)  # type: ignore[arg-type]
    head = head_class(layout)
    return Model(Chain(layout, head.num_params, scale), head, layout).eval()


def z_of(model: Model, events: Tensor, seed: int = 0) -> float:
    return site_surprise(model, events, torch.Generator().manual_seed(seed)).z


ALL = ["bits", "letters", "levels", "fine levels", "pixels", "normal", "mixture"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_of_right_samples_it_is_standard_normal_or_smaller(name: str, scale: float) -> None:
    """Over 40 batches: mean 0, a mean square of 1 at most, and none far out."""
    model = model_of(name, scale)
    z = []
    for seed in range(40):
        events = model.sample(30, generator=torch.Generator().manual_seed(seed))
        z.append(z_of(model, events, 1000 + seed))
    assert abs(np.mean(z)) < 4 / math.sqrt(40)
    assert 0.3 < np.mean(np.square(z)) < 1.8
    assert max(map(abs, z)) < 4


@pytest.mark.parametrize("name", ALL)
def test_of_samples_of_another_density_it_is_large(name: str) -> None:
    """Also of one that differs in the parameters alone, as where a step is one site late."""
    model = model_of(name, 2.0)
    other = model_of(name, 2.0)
    with torch.no_grad():
        other.network.tables.copy_(other.network.tables.roll(1, 1))
    events = other.sample(64, generator=torch.Generator().manual_seed(1))
    assert z_of(model, events) < -5


@pytest.mark.parametrize("name", ["letters", "levels", "fine levels", "pixels"])
def test_of_values_that_are_all_one_too_high_it_is_large(name: str) -> None:
    model = model_of(name, 2.0)
    assert isinstance(model.spec.domain, Discrete)
    events = model.sample(64, generator=torch.Generator().manual_seed(1))
    assert z_of(model, (events + 1) % model.spec.domain.size) < -5


def test_the_terms_are_those_of_the_definition() -> None:
    """By the sum over both values of every bit, in plain Python."""
    model = model_of("bits")
    events = model.sample(7, generator=torch.Generator().manual_seed(0))
    params = model.site_params(model.sites_of(events))[..., 0]
    total, variance = 0.0, 0.0
    for value, logit in zip(events.flatten().tolist(), params.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        logs = [math.log(1 - p), math.log(p)]
        mean = (1 - p) * logs[0] + p * logs[1]
        term = logs[value] - mean
        total += term
        known = (1 - p) * (logs[0] - mean) ** 2 + p * (logs[1] - mean) ** 2
        variance += (term**2 + 2 * known) / 3
    found = site_surprise(model, events, torch.Generator())
    assert found.total_nats == pytest.approx(total, rel=1e-4)
    assert found.variance == pytest.approx(variance, rel=1e-4)
    assert found.num_terms == events.numel()


def test_the_inequality_that_the_variance_rests_on() -> None:
    x = np.concatenate([np.linspace(-40, 40, 200_001), np.linspace(-0.01, 0.01, 2001)])
    assert np.all(np.exp(x - x**2 / 6) <= (1 + x + x**2 / 3) * (1 + 1e-12))


@pytest.mark.parametrize("logit", [9.0, 14.0, 30.0])
def test_what_is_all_but_certain_raises_no_alarm(logit: float) -> None:
    """The rare value may not come at all, or come once: by squares alone z would be 80 or -12."""
    model = model_of("bits")
    with torch.no_grad():
        model.network.tables.fill_(logit)
    events = torch.ones(160, NUM_SITES, dtype=torch.int64)
    assert abs(z_of(model, events)) < 1.5
    events[0, 0] = 0
    assert z_of(model, events) > (-3 if logit < 20 else -math.inf)


def test_surprises_add_up() -> None:
    both = Surprise(2.0, 3.0, 4) + Surprise(-1.0, 1.0, 5)
    assert both == Surprise(1.0, 4.0, 9)
    assert both.z == pytest.approx(0.5)
    assert Surprise().z == 0.0


@pytest.mark.parametrize("name", ["bits", "letters", "normal", "mixture"])
def test_of_events_whose_conditionals_nobody_knows(name: str) -> None:
    """Mean 0 for right samples, far from it where the sampler draws with another temperature."""
    model = model_of(name, 2.0)
    z = []
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        events = model.sample(64, generator=generator)
        z.append(event_surprise(model, events, generator).z)
    assert abs(np.mean(z)) < 4 / math.sqrt(40)
    assert max(map(abs, z)) < 4
    other = model_of(name, 2.0)
    with torch.no_grad():
        other.network.tables.copy_(other.network.tables.roll(1, 1))
    events = other.sample(64, generator=torch.Generator().manual_seed(1))
    assert event_surprise(model, events, torch.Generator().manual_seed(1)).z < -5
