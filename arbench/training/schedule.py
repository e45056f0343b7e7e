"""How long a training lasts (`--budget`, `--epochs`), and the learning rate."""

from __future__ import annotations

import math

from arbench.errors import ConfigError


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


def parse_seconds(text: str) -> float:
    """Seconds of a duration such as "90", "90s", "5m" or "1.5h".

    Raises:
        ConfigError: for anything else, and for durations that are not positive.
    """
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    try:
        seconds = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        seconds = math.nan
    if not (0 < seconds < math.inf):
        raise ConfigError(f"expected a duration such as 90s, 5m or 1h, got {text!r}")
    return seconds
