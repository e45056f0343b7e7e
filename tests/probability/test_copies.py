"""Copies of a network: mean conditional probabilities, one copy per event in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from brute_force import LAYOUTS
from torch import nn

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Bernoulli, Categorical, Gaussian, Head, natural_head
from arbench.probability.heads.copies import Copies, SteppingCopies, copies_of
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.toys import LinearNetwork, SteppingTable, all_events

BINARY, FIVE = (Layout(EventSpec((1,), Discrete(size))) for size in (2, 5))


class Trained(SteppingTable):
    """Tables that differ from copy to copy."""

    def __init__(self, layout: Layout, num_params: int, *, scale: float) -> None:
        super().__init__(layout, num_params, seed=int(torch.randint(1 << 20, ())), scale=scale)


def copies_model(layout: Layout, count: int = 3, network: Any = LinearNetwork) -> Model:
    head = natural_head(layout)
    torch.manual_seed(0)
    networks = [network(layout, head.num_params, scale=2.0).double() for _ in range(count)]
    return Model(copies_of(networks, head), head, layout).eval()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_conditional_probabilities_are_means_and_the_joint_sums_to_one(layout: Layout) -> None:
    model = copies_model(layout)
    events = all_events(layout.spec)
    single = [Model(n, model.head, layout) for n in model.network.networks]
    with torch.no_grad():
        conditionals = np.stack([m.site_log_probs(events).exp().numpy() for m in single])
        found = model.log_prob(events).exp()
    np.testing.assert_allclose(found.numpy(), conditionals.mean(0).prod(1), rtol=1e-10)
    assert found.sum().item() == pytest.approx(1, abs=1e-12)
    joint = np.mean([m.log_prob(events).exp().detach().numpy() for m in single], axis=0)
    assert np.abs(found.numpy() - joint).max() > 1e-6  # it is no mean of joint probabilities


@pytest.mark.parametrize("head", [Bernoulli(BINARY), Categorical(FIVE)])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_averaged_parameters_have_mean_probabilities(head: Head, scale: float) -> None:
    params = scale * torch.randn(4, 50, head.num_params, dtype=torch.float64)
    mean = head.averaged(params)
    assert mean.shape == (50, head.num_params)
    assert bool(mean.isfinite().all())
    for value in range(head.layout.alphabet_size):
        values = torch.full((50, 1), value)
        expected = head.log_prob(params, values.expand(4, 50, 1)).exp().mean(0)
        torch.testing.assert_close(
            head.log_prob(mean, values).exp(), expected, rtol=1e-9, atol=1e-300
        )


def test_every_sampler_agrees() -> None:
    layout = Layout(EventSpec((2, 2, 2), Discrete(3)))
    model = copies_model(layout, network=Trained)
    assert isinstance(model.network, SteppingCopies)
    noise = model.draw_noise(40, torch.Generator().manual_seed(1))
    samples = [model.sample(40, noise=noise, method=name) for name in model.samplers]
    assert model.samplers[0] == "step"
    assert all(torch.equal(samples[0], other) for other in samples[1:])


def test_networks_that_cannot_step_do_not_pretend_to() -> None:
    model = copies_model(Layout(EventSpec((4,), Discrete(2))))
    assert type(model.network) is Copies
    assert "step" not in model.samplers


@pytest.mark.parametrize("num_events", [1, 2, 3, 8])
def test_in_training_each_event_goes_through_one_copy(num_events: int) -> None:
    layout = Layout(EventSpec((6,), Discrete(3)))
    model = copies_model(layout).train()
    events = torch.randint(3, (num_events, 6))
    found = model.log_prob(events)
    single = [Model(n, model.head, layout) for n in model.network.networks]
    expected = torch.stack([single[b % 3].log_prob(events)[b] for b in range(num_events)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    (-found.sum()).backward()  # type: ignore[no-untyped-call]
    reached = [any(bool(p.grad is not None) for p in m.parameters()) for m in single]
    assert reached == [k < num_events for k in range(3)]


def test_one_copy_is_the_network() -> None:
    layout = Layout(EventSpec((5,), Discrete(2)))
    model = copies_model(layout, count=1)
    alone = Model(model.network.networks[0], model.head, layout)
    events = all_events(layout.spec)
    torch.testing.assert_close(model.log_prob(events), alone.log_prob(events), rtol=0, atol=1e-12)


def test_a_head_that_cannot_average_is_refused() -> None:
    layout = Layout(EventSpec((3,), Real()))
    head = Gaussian(layout)
    with pytest.raises(ValueError, match="gaussian cannot"):
        copies_of([nn.Identity()], head)
    with pytest.raises(NotImplementedError, match="is not such a head"):
        head.averaged(torch.zeros(2, 3, head.num_params))
