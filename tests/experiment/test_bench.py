"""What is timed: the samplers themselves, and for whole forwards a fair share of the sites."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from arbench.experiment.bench import measure_sampling
from arbench.experiment.speed import time_callable
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import Bernoulli
from arbench.probability.layouts import Layout
from arbench.probability.model import Model

LAYOUT = Layout(EventSpec((1, 6, 6), Discrete(2)))


class Watched(nn.Module):
    """Counts its forwards, by the batch size and by whether later sites are still 0."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.full((36, 1), 2.0))
        self.calls: list[tuple[int, int]] = []

    def forward(self, sites: Tensor) -> Tensor:
        seen = sites.flatten(1).any(0).nonzero().flatten().tolist()
        known = max(seen, default=-1)
        self.calls.append((len(sites), known))
        return self.logits.expand(len(sites), -1, -1)


def _watched() -> tuple[Watched, Model]:
    network = Watched()
    return network, Model(network, Bernoulli(LAYOUT), LAYOUT)


def test_whole_forwards_are_timed_at_sites_spread_over_the_order() -> None:
    network, model = _watched()
    rows = measure_sampling(model, methods=["whole"], batch_sizes=[8], repeats=1)
    assert rows[0].extrapolated
    assert len(network.calls[-4:]) == 4
    assert all(batch == 8 for batch, _ in network.calls[-4:])
    # The sites at 1/8, 3/8, 5/8 and 7/8 of 36: what comes after each is still unknown.
    assert [known for _, known in network.calls[-4:]] == [3, 12, 21, 30]


def test_full_timing_makes_one_forward_per_site() -> None:
    network, model = _watched()
    rows = measure_sampling(model, methods=["whole"], batch_sizes=[8], repeats=1, full=True)
    assert not rows[0].extrapolated
    assert len(network.calls) == 2 * 36


def test_members_of_an_ensemble_share_the_batch() -> None:
    networks, models = zip(*(_watched() for _ in range(3)), strict=True)
    measure_sampling(Ensemble(models), methods=["whole"], batch_sizes=[8], repeats=1)
    assert sorted(network.calls[-1][0] for network in networks) == [2, 3, 3]


def test_events_per_second_is_the_batch_over_the_median() -> None:
    _, model = _watched()
    rows = measure_sampling(model, methods=["fixed-point"], batch_sizes=[1, 5], repeats=3)
    assert [row.batch_size for row in rows] == [1, 5]
    for row in rows:
        assert row.repeats == 3
        assert row.events_per_s == pytest.approx(row.batch_size / row.median_s, rel=1e-9)


def test_a_timing_stops_at_its_cap_but_measures_at_least_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    def tick() -> float:
        return now

    def slow() -> None:
        nonlocal now
        now += 10.0

    monkeypatch.setattr("arbench.experiment.speed.time.perf_counter", tick)
    cpu = torch.device("cpu")
    timing = time_callable(slow, device=cpu, warmup=1, repeats=100, cap_s=35)
    assert (timing.repeats, timing.median_s, timing.iqr_s) == (3, 10.0, 0.0)
    assert time_callable(slow, device=cpu, warmup=1, repeats=100, cap_s=1).repeats == 1


def test_progress_is_told_between_calls_and_never_inside_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    told: list[tuple[float, str]] = []

    def work(*_: object, **__: object) -> None:
        nonlocal now
        now += 1.0

    def progress(fraction: float, note: str) -> None:
        nonlocal now
        now += 100.0  # a slow terminal
        told.append((fraction, note))

    _, model = _watched()
    monkeypatch.setattr(model, "sample", work)
    monkeypatch.setattr("arbench.experiment.speed.time.perf_counter", lambda: now)
    rows = measure_sampling(
        model, methods=["step"], batch_sizes=[1, 64], repeats=3, cap_s=1000, progress=progress
    )
    assert [(row.repeats, row.median_s) for row in rows] == [(3, 1.0), (3, 1.0)]
    assert told == [
        *((calls / 8, "step, batch 1") for calls in range(5)),
        *((calls / 8, "step, batch 64") for calls in range(4, 9)),
        (1.0, ""),
    ]
