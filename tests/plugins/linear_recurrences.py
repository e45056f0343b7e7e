"""What is asked of every network that is a linear recurrence: S4D, Gated DeltaNet, Mamba-2."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from arbench.networks.residual import ResidualNetwork
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model

EXACT = 1e-10  # of float64, relative to the largest parameter


def make_layout(num_sites: int = 30, size: int = 5) -> Layout:
    return Layout(EventSpec((num_sites,), Discrete(size)))


def sharpen(network: ResidualNetwork) -> ResidualNetwork:
    """Biases and the first vector are seen only when they are not 0."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return network


def stepped_params(network: ResidualNetwork, sites: Tensor) -> Tensor:
    """Parameters `(B, T, P)`, site by site."""
    state, previous, found = network.init_state(len(sites)), None, []
    for t in range(sites.shape[1]):
        params, state = network.step(state, previous, t)
        found.append(params)
        previous = sites[:, t]
    return torch.stack(found, 1)


@torch.no_grad()
def require_steps_are_forward(network: ResidualNetwork, sites: Tensor) -> None:
    """Of a whole batch, of each of its rows alone, and of every prefix alone."""
    params = network(sites)
    assert params.std() > 0.1
    allowed = EXACT * max(1.0, params.abs().max().item())
    stepped = stepped_params(network, sites)
    torch.testing.assert_close(stepped, params, rtol=0, atol=allowed)
    for row in range(len(sites)):
        alone = stepped_params(network, sites[row : row + 1])
        torch.testing.assert_close(alone, params[row : row + 1], rtol=0, atol=allowed)
    if network.inputs.places is None:  # which belong to all sites of an event
        for length in range(1, sites.shape[1]):
            prefix = network(sites[:, :length])
            torch.testing.assert_close(prefix, stepped[:, :length], rtol=0, atol=allowed)


def loss_of_an_echo(network: ResidualNetwork, layout: Layout, distance: int) -> float:
    """Nats after some training on events whose values repeat those a distance before.

    The first of them cannot be known, so there is no less than `distance * log(2)` on average.
    """
    model = Model(network, natural_head(layout), layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    loss = torch.tensor(math.inf)
    for _ in range(80):
        events = torch.randint(2, (32, distance)).repeat(1, layout.num_sites // distance)
        optimizer.zero_grad()
        loss = -model.log_prob(events).mean()
        loss.backward()
        optimizer.step()
    return loss.item()
