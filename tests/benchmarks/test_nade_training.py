"""NADE's training speed against a plain loop over the sites.

Images are 28x28 with about the density of ones of binarised MNIST; the kernel's cost depends on it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from interleaved import interleaved_medians
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_nade.network import NADE

BATCH_SIZE, NUM_SITES, HIDDEN = 100, 784, 500
DENSITY = 0.13


class LoopNADE(torch.nn.Module):
    """A plain loop over the sites, recorded by autograd, with the weights of a site in a column.

    With `like_the_peer` it does at every site what pytorch-generative's NADE does in training: a
    sigmoid, a Bernoulli draw and a choice between that draw and the given value.
    """

    def __init__(self, like_the_peer: bool) -> None:
        super().__init__()
        self.like_the_peer = like_the_peer
        self.weight = torch.nn.Parameter(torch.randn(HIDDEN, NUM_SITES) * NUM_SITES**-0.5)
        self.bias = torch.nn.Parameter(torch.zeros(HIDDEN))
        self.readout = torch.nn.Parameter(torch.randn(NUM_SITES, HIDDEN) * HIDDEN**-0.5)
        self.readout_bias = torch.nn.Parameter(torch.zeros(NUM_SITES))

    def forward(self, sites: Tensor) -> Tensor:
        """Logits `(B, T, 1)` of sites `(B, T, 1)`; like the peer, what it feeds as logits."""
        values = sites.squeeze(-1).to(self.weight.dtype)
        pre, params = self.bias.expand(len(sites), -1), []
        for t in range(NUM_SITES):
            own = slice(t, t + 1)
            param = torch.relu(pre) @ self.readout[own].T + self.readout_bias[own]
            value = values[:, own]
            if self.like_the_peer:
                param = param.sigmoid()
                drawn = torch.distributions.Bernoulli(probs=param).sample()
                value = torch.where(value < 0, drawn, value)
            params.append(param)
            pre = pre + value @ self.weight[:, own].T
        return torch.stack(params, 1)


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(EventSpec((1, 28, 28), Discrete(2)))


def make_model(layout: Layout, network: torch.nn.Module) -> Model:
    return Model(network, natural_head(layout), layout)


def training_step(model: Model) -> Callable[[], None]:
    events = (torch.rand(BATCH_SIZE, 1, 28, 28) < DENSITY).long()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)  # as in a run

    def step() -> None:
        optimizer.zero_grad()
        (-model.log_prob(events).sum() / events.numel()).backward()
        optimizer.step()

    return step


@pytest.mark.usefixtures("restored_threads")
def test_training(benchmark: BenchmarkFixture, layout: Layout) -> None:
    """Each at the number of threads that suits it: small products gain little from a second."""
    steps = {
        "nade": training_step(make_model(layout, NADE(layout, 1, hidden=HIDDEN))),
        "what the peer does": training_step(make_model(layout, LoopNADE(like_the_peer=True))),
        "a bare loop": training_step(make_model(layout, LoopNADE(like_the_peer=False))),
    }
    medians = interleaved_medians(benchmark, steps, rounds=7)
    ours_s = min(medians.pop("nade").values())
    ratios = {name: min(by_threads.values()) / ours_s for name, by_threads in medians.items()}
    benchmark.extra_info["images_per_s"] = BATCH_SIZE / ours_s
    benchmark.extra_info["times"] = ratios
    beside = ", ".join(f"{ratio:.1f} times {name}" for name, ratio in ratios.items())
    print(f"\nnade trains {BATCH_SIZE / ours_s:,.0f} images/s: {beside}")
    assert ratios["what the peer does"] >= 8
