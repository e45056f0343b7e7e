"""The temperature that is best on validation, and what it gains.

At a temperature T a dim has the probabilities `p^(1/T)`, normalised: its logits are divided by T.
In `b = 1 / T` the negative log-likelihood is a sum of `logsumexp(b log p) - b log p(x)`, which is
convex; so its one minimum is where the slope is 0, found by Newton's method within a bracket
that is halved where Newton's steps do not shrink.

Source: Guo, Pleiss, Sun and Weinberger, ICML 2017, section 4.2 (temperature scaling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from arbench import Split
from arbench_calibration.groups import Groups
from arbench_calibration.symbols import Predictor, Progress, each_symbol

MOST_NUMBERS = 1 << 26  # log-probabilities that are kept at once, in float32
_LARGEST = 100.0
_AT_ONCE = 1 << 20
_LEAST_LOG_PROB = -1e30  # for an impossible value: 0 times an infinity is no number
_TOLERANCE = 1e-10
_MOST_STEPS = 100


@dataclass(frozen=True)
class Temperature:
    """The best one.

    Attributes:
        value: T; above 1 the model is too sure of itself.
        error: its standard error, over groups of the events that it was found on.
    """

    value: float
    error: float | None


@dataclass(frozen=True)
class Kept:
    """Distributions of dims that are gone through several times.

    Attributes:
        log_probs: `(n, K)` nats, float32.
        values: `(n,)` int64.
        events: `(n,)` int64, the number of each dim's event.
        predicted: see `Symbols.predicted`, `(n,)` float64.
    """

    log_probs: Tensor
    values: Tensor
    events: Tensor
    predicted: Tensor

    @classmethod
    def of(cls, density: Predictor, split: Split, progress: Progress | None = None) -> Kept:
        """Of all scored dims of a split."""
        parts = [
            (
                each.log_probs.clamp(min=_LEAST_LOG_PROB).float(),
                each.values,
                each.events,
                each.predicted()[0],
            )
            for each in each_symbol(density, split, progress)
        ]
        return cls(*(torch.cat(each) for each in zip(*parts, strict=True)))


def few_enough(split: Split, num_values: int, most: int) -> Split:
    """A part of a split: at most so many events, and about as many as memory is meant for.

    Args:
        split: the events.
        num_values: K.
        most: events.
    """
    numbers = num_values * split.scored_dims.double().mean().item()
    return split.take(split.spread(max(1, min(most, int(MOST_NUMBERS / numbers)))))


def best_temperature(kept: Kept, groups: Groups) -> Temperature:
    """The temperature of the smallest negative log-likelihood, from 0.01 to 100."""
    low, high, inverse, moved = 1 / _LARGEST, _LARGEST, 1.0, math.inf
    slopes, curvature = _derivatives(kept, inverse)
    for _ in range(_MOST_STEPS):
        slope = slopes.sum().item()
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        newton = inverse - slope / curvature if curvature > 0 else math.inf
        is_near = low <= newton <= high and abs(newton - inverse) <= moved / 2
        following = newton if is_near else math.sqrt(low * high)
        moved, inverse = abs(following - inverse), following
        slopes, curvature = _derivatives(kept, inverse)
        if moved <= _TOLERANCE * inverse:
            break
    error = None
    if groups.count > 1 and curvature > 0:
        by_event = torch.zeros(len(groups.members), dtype=torch.float64)
        by_group = groups.sums(by_event.index_add_(0, kept.events, slopes))
        spread = math.sqrt(groups.count / (groups.count - 1) * by_group.square().sum().item())
        error = spread / curvature / inverse**2
    return Temperature(1 / inverse, error)


def gains(log_probs: Tensor, values: Tensor, temperature: float) -> Tensor:
    """By how many nats a temperature makes the values of dims likelier, `(n,)` float64.

    Args:
        log_probs: `(n, K)` nats, float64.
        values: `(n,)` int64.
        temperature: T.
    """
    scaled = (log_probs.clamp(min=_LEAST_LOG_PROB) / temperature).log_softmax(-1)
    own = values.unsqueeze(-1)
    return (scaled.gather(-1, own) - log_probs.gather(-1, own)).squeeze(-1)


def _derivatives(kept: Kept, inverse: float) -> tuple[Tensor, float]:
    """First ones of each dim's negative log-likelihood in 1 / T `(n,)`, and the sum of the second.

    They are the mean of `log p` under the tempered distribution minus that of the own value, and
    its variance.
    """
    slopes, curvature = [], 0.0
    at_once = max(1, _AT_ONCE // kept.log_probs.shape[-1])
    for start in range(0, len(kept.values), at_once):
        log_probs = kept.log_probs[start : start + at_once].double()
        own = kept.values[start : start + at_once].unsqueeze(-1)
        weights = (inverse * log_probs).softmax(-1)
        mean = (weights * log_probs).sum(-1, keepdim=True)
        off = (log_probs - mean).square()
        slopes.append((mean - log_probs.gather(-1, own)).squeeze(-1))
        curvature += (weights * off).sum().item()
    return torch.cat(slopes), curvature
