"""How far a training is, and its learning rate there."""

from __future__ import annotations

import math

from arbench.training.checkpoints import Progress


def fraction_done(progress: Progress, num_steps: int, budget_s: float | None) -> float:
    """How much of a training is done, in [0, 1].

    Args:
        progress: where it stands.
        num_steps: how long it is, but for one with a budget.
        budget_s: its wall-clock seconds, over all sittings; None for a number of steps.
    """
    if budget_s is not None:
        return min(1.0, progress.elapsed_s / budget_s)
    return min(1.0, progress.step / num_steps)


def learning_rate_factor(fraction: float, schedule: str, warmup: float) -> float:
    """The learning rate as a multiple of its peak, at a fraction of the training.

    Args:
        fraction: in [0, 1].
        schedule: "constant", "linear" or "cosine"; the latter two end at 0.
        warmup: fraction over which the rate first rises linearly from near 0.
    """
    if fraction < warmup:
        return max(fraction / warmup, 1e-3)
    rest = (fraction - warmup) / (1 - warmup)
    if schedule == "linear":
        return 1 - rest
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * rest))
    return 1.0
