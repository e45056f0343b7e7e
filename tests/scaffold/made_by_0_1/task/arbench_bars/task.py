"""The task bars: what its data are, and the events of its splits."""

from __future__ import annotations

import math

import torch
from arbench.experiment.tasks import SPLITS, Split, SplitName, Task
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.randomness import uniforms
from torch import Tensor

# EDIT: all of this is about bars, which are drawn here so that there is something to run at once.
SIDE = 8
FLIP = 0.2
SEED = 1
NUM_EVENTS: dict[SplitName, int] = {"train": 1000, "validation": 200, "test": 500}


class BarsTask(Task):
    """One row or column of 8x8 bits is on; then each bit is flipped with probability 0.2."""

    name = "bars"
    version = "1"  # another one whenever an event of any split changes: results do not compare
    spec = EventSpec((1, SIDE, SIDE), Discrete(2))  # the shape of an event, and what a dim may be
    unit = "pixel"  # what a dim is: dim, pixel, char, byte or sample
    source = "synthetic"  # EDIT: a citation with an address

    def load(self, split: SplitName) -> Split:
        """The events `(N, 1, 8, 8)` uint8 of a split, the same whenever and wherever it is called.

        EDIT: read your own here. No event is in two splits, and nothing is left to chance.
        """
        shape = (NUM_EVENTS[split], 1 + SIDE * SIDE)
        numbers = torch.from_numpy(uniforms(math.prod(shape), SEED, 1 + SPLITS.index(split)))
        which, flips = numbers.view(shape)[:, 0], numbers.view(shape)[:, 1:]
        bars = _bars()
        bits = bars[(which * len(bars)).long()] ^ (flips.reshape(-1, SIDE, SIDE) < FLIP)
        return Split(bits[:, None].to(torch.uint8))

    def true_log_prob(self, events: Tensor) -> Tensor:
        """Log-probability `(B,)` in nats, float64, of events `(B, 1, 8, 8)`.

        Only for data drawn from a known distribution: results then show how far they are from it,
        and what is better than the truth is refused. EDIT: remove it for data from the world.
        """
        bars = _bars()
        flipped = (events.cpu().bool() ^ bars).sum((2, 3)).double()  # (B, 16)
        log_probs = flipped * math.log(FLIP) + (SIDE * SIDE - flipped) * math.log(1 - FLIP)
        return log_probs.logsumexp(1) - math.log(len(bars))


def _bars() -> Tensor:
    """All bars, `(16, 8, 8)` boolean."""
    rows = torch.eye(SIDE, dtype=torch.bool)[:, :, None].expand(-1, -1, SIDE)
    return torch.cat((rows, rows.transpose(1, 2)))
