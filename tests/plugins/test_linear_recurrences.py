"""What every network that is a linear recurrence promises: S4D, Gated DeltaNet and Mamba-2."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from linear_recurrences import (
    loss_of_an_echo,
    make_layout,
    require_steps_are_forward,
    sharpen,
)

from arbench.networks.residual import ResidualNetwork
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.layouts import Layout
from arbench_gated_deltanet.network import GatedDeltaNet
from arbench_mamba2.network import Mamba2
from arbench_s4d.network import S4D

SMALL: dict[type[ResidualNetwork], dict[str, Any]] = {
    S4D: {"width": 6, "num_blocks": 2, "num_states": 8},
    GatedDeltaNet: GatedDeltaNet.tiny_hyperparameters | {"num_blocks": 2},
    Mamba2: Mamba2.tiny_hyperparameters | {"num_blocks": 2},
}
FOR_AN_ECHO: dict[type[ResidualNetwork], dict[str, Any]] = {
    S4D: {"width": 24, "num_states": 16, "shortest": 0.05, "longest": 1.0},
    GatedDeltaNet: {"width": 24, "value_width": 12, "key_width": 8},
    Mamba2: {"width": 24, "num_states": 16},
}
every_family = pytest.mark.parametrize("family", list(SMALL))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("num_sites", [1, 30, 70])
@pytest.mark.parametrize(
    ("family", "options"),
    [
        (S4D, {}),
        (S4D, {"init": "inv"}),
        (S4D, {"ordinal": True, "coordinates": True}),
        (GatedDeltaNet, {}),
        (GatedDeltaNet, {"perceptron": 0}),
        (GatedDeltaNet, {"ordinal": True, "coordinates": True}),
        (Mamba2, {}),
        # Where others limit long steps in training, they must be limited in sampling.
        (Mamba2, {"longest": 5.0}),
        (Mamba2, {"ordinal": True, "coordinates": True}),
    ],
)
def test_step_is_forward(
    family: type[ResidualNetwork], options: dict[str, Any], num_sites: int
) -> None:
    network = family(make_layout(num_sites), 5, **SMALL[family] | options)
    sites = torch.randint(5, (3, num_sites, 1))
    require_steps_are_forward(sharpen(network.double().eval()), sites)


@every_family
def test_step_is_forward_for_real_pixels(family: type[ResidualNetwork]) -> None:
    layout = Layout(EventSpec((3, 2, 4), Real()), sites="pixel")
    network = sharpen(family(layout, 6, **SMALL[family], coordinates=True).double().eval())
    require_steps_are_forward(network, torch.randn(3, 8, 3, dtype=torch.float64))


@every_family
def test_gradients_reach_every_parameter(family: type[ResidualNetwork]) -> None:
    layout = Layout(EventSpec((3, 3, 3), Discrete(4)))
    network = family(layout, 4, **SMALL[family], ordinal=True, coordinates=True)
    network(torch.randint(4, (5, 27, 1))).square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0


@every_family
def test_builds_without_memory(family: type[ResidualNetwork]) -> None:
    with torch.device("meta"):
        network = family(make_layout(), 5, coordinates=True)
    assert all(parameter.is_meta for parameter in network.parameters())


@every_family
def test_learns_an_echo_at_a_distance(family: type[ResidualNetwork]) -> None:
    layout = make_layout(25, size=2)
    network = family(layout, 1, **SMALL[family] | FOR_AN_ECHO[family])
    assert loss_of_an_echo(network, layout, 5) < 5 * math.log(2) + 1.5
