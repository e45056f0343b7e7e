"""Step-by-step sampling of 64 binary 28x28 images against the same model's whole-forward sampler.

Both run in one process. Weights are untrained, but the output biases give about MNIST's share of
ones, on which the cost of a NADE depends. The peer's figures are absolute ones of
pytorch-generative on two other cores, for context.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from arbench.measure.speed import measure_sampling
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry

NUM_EVENTS = 64
SHARE_OF_ONES = 0.13


@dataclass(frozen=True)
class Case:
    """A model, the name of its output bias, what is promised, and what the peer reaches."""

    model: str
    bias: str
    times_whole: float
    peer_events_per_s: float
    settings: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("fvsbn", "bias", 10, 9.3),
    Case("made", "layers.1.bias", 25, 4.2, {"hidden": [8000]}),
    Case("nade", "readout_bias", 200, 1606, {"hidden": 500}),
]


def _model(case: Case) -> Model:
    layout = Layout(EventSpec((1, 28, 28), Discrete(2)))
    network = registry().find(ModelEntry, case.model).load()(layout, 1, **case.settings)
    logit = torch.logit(torch.tensor(SHARE_OF_ONES)).item()
    torch.nn.init.constant_(network.get_parameter(case.bias), logit)
    return Model(network, natural_head(layout), layout)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.model)
def test_stepwise_sampling(benchmark: BenchmarkFixture, case: Case) -> None:
    model = _model(case)
    rows = []

    def measure() -> None:
        rows.append(measure_sampling(model, methods=["step", "whole"], batch_sizes=[NUM_EVENTS]))

    benchmark.pedantic(measure, rounds=3)
    step, whole = min(rows, key=lambda pair: pair[0].median_s)
    times = whole.median_s / step.median_s
    benchmark.extra_info["events_per_s"] = step.events_per_s
    benchmark.extra_info["times_whole_forward"] = times
    print(
        f"\n{case.model}: {step.events_per_s:,.0f} events/s step by step (peer "
        f"{case.peer_events_per_s:g}), {times:,.0f} times its own whole-forward sampler (promised "
        f"{case.times_whole:g})"
    )
    assert times >= case.times_whole
