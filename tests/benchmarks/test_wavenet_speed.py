"""A sample of sound costs the same, however long the clip: clips of 1,000 and 8,000 samples.

Processor time of one thread is compared, which other processes disturb less than the clock.
"""

from __future__ import annotations

import time

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_wavenet.network import WaveNet

NUM_EVENTS = 16
LENGTHS = (1000, 8000)


def _model(length: int) -> Model:
    torch.manual_seed(0)
    layout = Layout(EventSpec((length,), Discrete(256)))
    head = natural_head(layout)
    return Model(WaveNet(layout, head.num_params), head, layout).eval()


@pytest.mark.slow  # timings mean something only when nothing else runs
def test_time_per_sample_does_not_grow(benchmark: BenchmarkFixture) -> None:
    models = {length: _model(length) for length in LENGTHS}
    per_sample: dict[int, list[float]] = {length: [] for length in LENGTHS}

    def measure() -> None:
        # As many short clips as one long one, in turns, so that both see the same machine.
        for length in LENGTHS:
            started = time.process_time()
            for _ in range(LENGTHS[-1] // length):
                models[length].sample(NUM_EVENTS, method="step")
            seconds = time.process_time() - started
            per_sample[length].append(seconds / (LENGTHS[-1] * NUM_EVENTS))

    benchmark.pedantic(measure, rounds=3, warmup_rounds=1)
    short, long = (min(per_sample[length]) for length in LENGTHS)
    benchmark.extra_info["samples_per_s"] = 1 / long
    benchmark.extra_info["long_to_short"] = long / short
    print(
        f"\nwavenet: {1 / short:,.0f} samples/s in clips of {LENGTHS[0]:,}, {1 / long:,.0f} in "
        f"clips of {LENGTHS[-1]:,}: {long / short:.2f} times the time per sample"
    )
    assert long / short == pytest.approx(1, abs=0.2)
