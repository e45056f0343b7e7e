"""A clock that sometimes stands still: sequences whose density is known."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from arbench import SPLITS, Discrete, EventSpec, Split, SplitName, Task, uniforms

NUM_HOURS = 12
LENGTH = 40
STANDS_STILL = 0.3
SEED = 12
NUM_EVENTS: dict[SplitName, int] = {"train": 20000, "validation": 500, "test": 1000}


class Clock(Task):
    """40 readings of a clock; between two of them an hour passes, or none (probability 0.3)."""

    name = "example-clock"
    version = "1"
    spec = EventSpec((LENGTH,), Discrete(NUM_HOURS))
    unit = "sample"
    source = "synthetic, drawn deterministically"

    def load(self, split: SplitName) -> Split:
        """The events `(N, 40)` uint8 of a split."""
        shape = (NUM_EVENTS[split], LENGTH)
        numbers = torch.from_numpy(uniforms(math.prod(shape), SEED, 1 + SPLITS.index(split)))
        numbers = numbers.view(shape)
        start = (numbers[:, :1] * NUM_HOURS).long()
        passed = (numbers[:, 1:] >= STANDS_STILL).cumsum(1)
        return Split((torch.cat((start, start + passed), 1) % NUM_HOURS).to(torch.uint8))

    def true_log_prob(self, events: Tensor) -> Tensor:
        """Log-probability `(B,)` in nats, float64, of events `(B, 40)`."""
        passed = events.cpu().long().diff(dim=1) % NUM_HOURS
        of_step = torch.tensor([STANDS_STILL, 1 - STANDS_STILL] + [0.0] * (NUM_HOURS - 2))
        return of_step.double().log()[passed].sum(1) - math.log(NUM_HOURS)
