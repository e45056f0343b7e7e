"""Step-by-step sampling of binary 28x28 images against the same network's whole-forward sampler.

Both run in one process, the whole-forward one at a few sites, scaled to all. Weights are untrained:
the cost does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from arbench.measure.speed import measure_sampling
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_pixelcnn.gated import GatedPixelCNN
from arbench_pixelcnn.network import PixelCNN

LAYOUT = Layout(EventSpec((1, 28, 28), Discrete(2)))


@pytest.mark.slow  # timings mean something only when nothing else runs
@pytest.mark.parametrize(
    ("build", "batch_size", "promised"),
    [
        pytest.param(lambda: PixelCNN(LAYOUT, 1, hidden=16, num_blocks=15), 64, 40, id="pixelcnn"),
        pytest.param(
            lambda: GatedPixelCNN(LAYOUT, 1, channels=128, num_layers=10), 16, 60, id="gated"
        ),
    ],
)
def test_stepwise_sampling(
    benchmark: BenchmarkFixture, build: Callable[[], nn.Module], batch_size: int, promised: float
) -> None:
    torch.manual_seed(0)
    model = Model(build(), natural_head(LAYOUT), LAYOUT)
    rows = []

    def measure() -> None:
        rows.extend(
            measure_sampling(
                model,
                methods=["step", "whole"],
                batch_sizes=[batch_size],
                repeats=3,
            )
        )

    benchmark.pedantic(measure, rounds=1)
    step, whole = rows
    times = whole.median_s / step.median_s
    benchmark.extra_info["events_per_s"] = step.events_per_s
    benchmark.extra_info["times_whole_forward"] = times
    print(
        f"\n{step.events_per_s:,.1f} events/s step by step, {times:,.0f} times the whole-forward "
        f"sampler (promised {promised:g})"
    )
    assert times >= promised
