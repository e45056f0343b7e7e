"""Training batches: which events step N reads, for any N."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from arbench.data.tasks import Split, Task, check_events
from arbench.probability.randomness import keyed_generator


@dataclass(frozen=True)
class Batch:
    """This process's share of one training batch.

    Attributes:
        events: `(B, *event_shape)`.
        scored: `(B, *event_shape)` boolean, or None.
        weights: `(B,)` 1, or 0 for a row that only keeps a process with no share of its own busy.
        num_events: events of the batch over all processes.
        num_dims: scored dims of the batch over all processes.
    """

    events: Tensor
    scored: Tensor | None
    weights: Tensor
    num_events: int
    num_dims: int


class TrainingBatches:
    """Shuffled batches of a train split; what step s holds depends on (seed, s) alone.

    Every epoch visits each event once, in an order keyed by (seed, epoch), seen through the
    task's `training_view` keyed likewise. The last partial batch of an epoch counts. Process r of
    W takes rows r, r + W, ... of each batch, so the processes together see exactly the batch that
    one process would see.
    """

    def __init__(
        self,
        task: Task,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        process: int = 0,
        num_processes: int = 1,
    ) -> None:
        self.task = task
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self.process = process
        self.num_processes = num_processes
        self.steps_per_epoch = -(-len(split) // batch_size)
        self._epoch: int | None = None
        self._order = torch.empty(0, dtype=torch.int64)
        # Of a task with a view this is what views start from; the first epoch makes events of it.
        self._events = split.events if task.has_training_view else split.events.to(device)
        self._scored = None if split.scored is None else split.scored.to(device)

    def batch(self, step: int) -> Batch:
        """The batch of a step, steps counted from 0 over all epochs."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = keyed_generator(self.seed, "order", epoch)
            self._order = torch.randperm(len(self.split), generator=generator)
            if self.task.has_training_view:
                generator = keyed_generator(self.seed, "view", epoch)
                view = self.task.training_view(self.split.events, generator)
                check_events(self.task, "train", view)
                self._events = view.to(self.device)
            self._epoch = epoch
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        own = rows[self.process :: self.num_processes]
        weights = torch.ones(len(own), device=self.device)
        if len(own) == 0:
            own, weights = rows[:1], torch.zeros(1, device=self.device)
        own = own.to(self.device)
        dims_per_event = self.split.events[0].numel()
        if self._scored is None:
            scored, num_dims = None, len(rows) * dims_per_event
        else:
            scored = self._scored[own]
            num_dims = int(self._scored[rows.to(self.device)].sum())
        return Batch(self._events[own], scored, weights, len(rows), num_dims)
