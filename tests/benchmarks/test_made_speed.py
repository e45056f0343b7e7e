"""MADE's sampling speed: step by step against one whole forward per site, in one process."""

from __future__ import annotations

import time

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import make_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_made.network import MADE

NUM_EVENTS = 64


@pytest.fixture(scope="module")
def model() -> Model:
    layout = Layout(EventSpec((1, 28, 28), Discrete(2)))
    return Model(MADE(layout, 1, hidden=[8000]), make_head("auto", layout.domain), layout)


def whole_forward_seconds(model: Model, num_sites: int = 10) -> float:
    """Time of the whole-forward sampler, from a few sites scaled up to all T."""
    total = model.layout.num_sites
    known = torch.ones(total, dtype=torch.bool)
    known[-num_sites:] = False
    shape = model.spec.shape
    given = torch.zeros(shape)
    started = time.perf_counter()
    model.sample(NUM_EVENTS, method="whole", given=given, known=known.view(shape))
    return (time.perf_counter() - started) * total / num_sites


def test_stepwise_sampling(benchmark: BenchmarkFixture, model: Model) -> None:
    benchmark.pedantic(model.sample, (NUM_EVENTS,), {"method": "step"}, rounds=3, warmup_rounds=1)
    if benchmark.stats is None:  # --benchmark-disable: nothing was timed
        return
    stepwise = benchmark.stats.stats.median
    whole = min(whole_forward_seconds(model) for _ in range(2))
    benchmark.extra_info["events_per_s"] = NUM_EVENTS / stepwise
    benchmark.extra_info["times_whole_forward"] = whole / stepwise
    print(
        f"\nmade, 8000 hidden: {NUM_EVENTS / stepwise:.0f} events/s, {whole / stepwise:.0f}x whole"
    )
    assert whole / stepwise >= 25
