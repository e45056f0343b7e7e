"""What is timed: the samplers themselves, and for whole forwards a fair share of the sites."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from arbench.measure.speed import measure_sampling, synchronize, timed_calls
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import Bernoulli
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.randomness import derive_seed

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


def _clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that stands still but for what is added to it by the result."""
    now = 0.0

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("arbench.measure.speed.time.perf_counter", lambda: now)
    return work


def test_a_timing_is_the_median_of_its_calls_and_their_interquartile_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = _clock(monkeypatch)
    durations = iter([1000.0, 8.0, 1.0, 16.0, 2.0, 4.0])  # the first of the warm-up
    _, model = _watched()
    monkeypatch.setattr(model, "sample", lambda *_, **__: work(next(durations)))
    (row,) = measure_sampling(
        model,
        methods=["step"],
        batch_sizes=[1],
        repeats=5,
        cap_s=1e9,
        progress=lambda fraction, note: work(7.0),
    )
    assert (row.median_s, row.iqr_s, row.repeats) == (4.0, 8.0 - 2.0, 5)


def test_calls_that_warm_up_are_made_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    work = _clock(monkeypatch)
    durations = iter([1000.0, 500.0, 8.0, 1.0, 16.0])
    found = []
    for seconds in timed_calls(
        lambda: work(next(durations)), device=torch.device("cpu"), warmup=2, repeats=3, cap_s=1e9
    ):
        found.append(seconds)
        work(7.0)  # the caller's turn
    assert found == [None, None, 8.0, 1.0, 16.0]


def test_what_is_queued_on_a_device_is_waited_for_and_what_was_queued_before_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a GPU a call returns at once, and its work is done when the device says so."""
    work, queued = _clock(monkeypatch), 0.0
    cuda = torch.device("cuda", 0)
    durations = iter([100.0, 3.0, 5.0, 4.0])

    def call() -> None:
        nonlocal queued
        queued += next(durations)

    def wait(device: torch.device) -> None:
        nonlocal queued
        assert device == cuda
        work(queued)
        queued = 0.0

    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    found = [*timed_calls(call, device=cuda, warmup=1, repeats=3, cap_s=1e9)]
    assert found == [None, 3.0, 5.0, 4.0]


def test_every_kind_of_device_is_waited_for_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(str(device)))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    for name in ("cpu", "cuda:1", "mps", "cpu", "cuda:0"):
        synchronize(torch.device(name))
    assert waited == ["cuda:1", "mps", "cuda:0"]


@pytest.mark.parametrize("full", [False, True])
def test_an_excerpt_says_what_the_whole_would_take(
    monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """A forward takes 1 s, and there are 36 sites: 8 events in 36 s, however they are timed."""
    work = _clock(monkeypatch)
    network, model = _watched()
    network.register_forward_hook(lambda *_: work(1.0))
    options = {"methods": ["whole"], "batch_sizes": [8], "repeats": 3, "cap_s": 1e9}
    (row,) = measure_sampling(model, full=full, **options)
    assert (row.extrapolated, row.repeats) == (not full, 3)
    assert (row.median_s, row.iqr_s, row.events_per_s) == pytest.approx((36.0, 0.0, 8 / 36))


def test_the_range_of_an_excerpt_is_scaled_like_its_median(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four forwards of 1, 2 and 3 s each: 36 of them take 36, 72 and 108 s."""
    work = _clock(monkeypatch)
    network, model = _watched()
    excerpt = model.excerpt("whole", 8)
    monkeypatch.setattr(model, "excerpt", lambda *_: excerpt)
    durations = iter([9.0] * 4 + [3.0] * 4 + [1.0] * 4 + [2.0] * 4)
    network.register_forward_hook(lambda *_: work(next(durations)))
    (row,) = measure_sampling(model, methods=["whole"], batch_sizes=[8], repeats=3, cap_s=1e9)
    assert (row.median_s, row.iqr_s, row.events_per_s) == pytest.approx((72.0, 36.0, 8 / 72))


def test_what_is_timed_is_a_sample_of_one_seed_whenever_it_is_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, model = _watched()
    drawn = []
    monkeypatch.setattr(
        model,
        "sample",
        lambda *_, generator, **__: drawn.append(torch.rand(2, generator=generator).tolist()),
    )
    measure_sampling(model, methods=["fixed-point"], batch_sizes=[1, 2], repeats=2)
    own = torch.Generator().manual_seed(derive_seed(0, "bench"))
    assert drawn == [torch.rand(2, generator=own).tolist()] * 2 * 3


def test_a_timing_stops_at_its_cap_but_measures_at_least_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    def tick() -> float:
        return now

    def slow() -> None:
        nonlocal now
        now += 10.0

    monkeypatch.setattr("arbench.measure.speed.time.perf_counter", tick)
    cpu = torch.device("cpu")
    found = [*timed_calls(slow, device=cpu, warmup=1, repeats=100, cap_s=35)]
    assert found == [None, 10.0, 10.0, 10.0]
    assert [*timed_calls(slow, device=cpu, warmup=1, repeats=100, cap_s=1)] == [None, 10.0]
    _, model = _watched()
    monkeypatch.setattr(model, "sample", lambda *_, **__: slow())
    (row,) = measure_sampling(model, methods=["step"], batch_sizes=[1], repeats=100, cap_s=1)
    assert (row.repeats, row.median_s, row.iqr_s) == (1, 10.0, 0.0)


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
    monkeypatch.setattr("arbench.measure.speed.time.perf_counter", lambda: now)
    rows = measure_sampling(
        model, methods=["step"], batch_sizes=[1, 64], repeats=3, cap_s=1000, progress=progress
    )
    assert [(row.repeats, row.median_s) for row in rows] == [(3, 1.0), (3, 1.0)]
    assert told == [
        *((calls / 8, "step, batch 1") for calls in range(5)),
        *((calls / 8, "step, batch 64") for calls in range(4, 9)),
        (1.0, ""),
    ]
