"""Batches: each epoch is a permutation, and what a step holds depends on (seed, step) alone."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from arbench.data.tasks import Split, SplitName, Task
from arbench.probability.events import Discrete, EventSpec
from arbench.training.batches import TrainingBatches


class Numbers(Task):
    """Event i holds the number i; the view adds noise in a second dim."""

    name, version, spec = "numbers", "1", EventSpec((2,), Discrete(1000))

    def load(self, split: SplitName) -> Split:
        return Split(torch.stack([torch.arange(23), torch.zeros(23, dtype=torch.int64)], -1))

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randint(1000, (len(events),), generator=generator)
        return torch.stack([events[:, 0], noise], -1)


def _batches(seed: int = 0, process: int = 0, num_processes: int = 1) -> TrainingBatches:
    task = Numbers()
    return TrainingBatches(
        task,
        task.load("train"),
        batch_size=5,
        seed=seed,
        device=torch.device("cpu"),
        process=process,
        num_processes=num_processes,
    )


def test_an_epoch_visits_every_event_once_the_last_partial_batch_included() -> None:
    batches = _batches()
    assert batches.steps_per_epoch == 5
    for epoch in range(3):
        seen = torch.cat([batches.batch(5 * epoch + i).events[:, 0] for i in range(5)])
        assert seen.sort().values.tolist() == list(range(23))
    assert [batches.batch(i).num_events for i in range(5)] == [5, 5, 5, 5, 3]
    assert batches.batch(4).num_dims == 6


def test_a_step_needs_no_history() -> None:
    straight = _batches()
    history = [straight.batch(step).events for step in range(13)]
    assert torch.equal(_batches().batch(12).events, history[12])
    assert torch.equal(straight.batch(3).events, history[3])


def _epoch(seed: int, epoch: int) -> Tensor:
    """All events `(23, 2)` of an epoch, in the order in which training sees them."""
    batches = _batches(seed)
    return torch.cat([batches.batch(5 * epoch + i).events for i in range(5)])


def test_every_epoch_and_seed_has_an_order_of_its_own() -> None:
    orders = [_epoch(*key)[:, 0].tolist() for key in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1))]
    assert len({tuple(order) for order in orders}) == 5
    assert orders[1] == _epoch(0, 1)[:, 0].tolist()
    assert all(order != sorted(order) for order in orders)


def test_all_orders_are_equally_likely() -> None:
    """Where event 0 comes in an epoch, over 600 epochs and 23 places."""
    places = [(_epoch(3, epoch)[:, 0] == 0).nonzero().item() for epoch in range(600)]
    counts = torch.bincount(torch.tensor(places), minlength=23)
    assert chisquare(counts.tolist()).pvalue > 1e-3


def test_every_epoch_and_seed_has_a_view_of_its_own() -> None:
    """Sorted by what the view leaves alone, so that the order plays no part."""

    def view(seed: int, epoch: int) -> tuple[int, ...]:
        events = _epoch(seed, epoch)
        return tuple(events[events[:, 0].argsort(), 1].tolist())

    assert len({view(seed, epoch) for seed in range(2) for epoch in range(3)}) == 6
    assert view(1, 2) == view(1, 2)


@pytest.mark.parametrize("num_processes", [2, 3, 4])
def test_processes_share_out_exactly_one_batch(num_processes: int) -> None:
    whole = _batches()
    parts = [_batches(process=p, num_processes=num_processes) for p in range(num_processes)]
    for step in range(10):
        rows = []
        for part in parts:
            batch = part.batch(step)
            assert batch.num_dims == whole.batch(step).num_dims
            assert len(batch.events) >= 1
            rows += batch.events[batch.weights == 1].tolist()
        assert sorted(rows) == sorted(whole.batch(step).events.tolist())


def test_scored_dims_are_the_denominator() -> None:
    task = Numbers()
    scored = torch.zeros(23, 2, dtype=torch.bool)
    scored[:, 0] = True
    split = Split(task.load("train").events, scored)
    batches = TrainingBatches(task, split, batch_size=5, seed=0, device=torch.device("cpu"))
    batch = batches.batch(0)
    assert batch.num_dims == 5
    assert batch.scored is not None
    assert batch.scored[:, 0].all()
    assert not batch.scored[:, 1].any()
