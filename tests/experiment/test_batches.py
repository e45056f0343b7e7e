"""Batches: each epoch is a permutation, and what a step holds depends on (seed, step) alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from arbench.experiment.batches import TrainingBatches
from arbench.experiment.tasks import Split, SplitName, Task
from arbench.probability.events import Discrete, EventSpec


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


def test_epochs_and_seeds_differ_in_order_and_in_view() -> None:
    def first(seed: int, epoch: int) -> list[list[int]]:
        return sorted(
            row for i in range(5) for row in _batches(seed).batch(5 * epoch + i).events.tolist()
        )

    assert first(0, 0) == first(0, 0)
    assert first(0, 0) != first(0, 1)
    assert first(0, 0) != first(1, 0)


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
