"""The protocol: who satisfies it, and that a slow sampler's excerpt is a fair part of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from arbench.probability.density import Density
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import Bernoulli
from arbench.probability.heads.tempered import at_temperature
from arbench.probability.layouts import Layout
from arbench.probability.model import Model


class Counting(nn.Module):
    """Coins whose forwards are counted, and whether each was in training mode."""

    def __init__(self, num_sites: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_sites, 1))
        self.forwards: list[bool] = []

    def forward(self, sites: Tensor) -> Tensor:
        self.forwards.append(self.training)
        return self.logits.expand(len(sites), -1, -1)


def coins(num_sites: int) -> tuple[Counting, Model]:
    layout = Layout(EventSpec((num_sites,), Discrete(2)))
    network = Counting(num_sites)
    return network, Model(network, Bernoulli(layout), layout)


def test_a_model_and_an_ensemble_are_densities() -> None:
    _, model = coins(3)
    for density in (model, Ensemble([model, model])):
        assert isinstance(density, Density)
        assert density.samplers[0] == "fixed-point"
        assert density.dtype == torch.float32
        assert density.device == torch.device("cpu")
    assert Ensemble([model.double()]).dtype == torch.float64


def test_only_the_slow_sampler_of_many_sites_has_an_excerpt() -> None:
    _, long = coins(30)
    _, short = coins(4)
    assert long.excerpt("fixed-point", 8) is None
    assert short.excerpt("whole", 8) is None
    assert Ensemble([short, short]).excerpt("whole", 8) is None
    assert long.excerpt("whole", 8) is not None


@pytest.mark.parametrize("num_members", [1, 3])
def test_an_excerpt_times_its_parts_is_all_forwards(num_members: int) -> None:
    networks, models = zip(*(coins(30) for _ in range(num_members)), strict=True)
    excerpt = Ensemble(models).excerpt("whole", 8)
    assert excerpt is not None
    for network in networks:
        network.forwards.clear()
    excerpt.call()
    for network in networks:
        assert len(network.forwards) * excerpt.num_parts == 30


def test_a_temperature_is_for_a_single_model() -> None:
    _, model = coins(3)
    ensemble = Ensemble([model, model])
    assert at_temperature(ensemble, None) is ensemble
    with pytest.raises(ValueError, match="single model"):
        at_temperature(ensemble, 0.5)
