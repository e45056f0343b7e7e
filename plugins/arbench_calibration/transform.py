"""The probability integral transform: uniform numbers, if the model is right.

With F the distribution of a dim given those before it and v uniform, `F(x - 1) + v p(x)` is uniform
on [0, 1] if F is the true one, and independent of those before (Rosenblatt, 1952).

Source: Smith, "Diagnostic checks of non-standard time series models", Journal of Forecasting 4,
1985; Czado, Gneiting and Held, "Predictive model assessment for count data", Biometrics 65, 2009.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from arbench_calibration.groups import Groups

NUM_CELLS = 100
_NUM_TESTED = 10
_FEWEST_GROUPS = 4 * _NUM_TESTED


class Transforms:
    """Histograms of the transform, one for each event.

    Args:
        num_events: N.
        generator: of v.

    Attributes:
        counts: `(N, NUM_CELLS)` float64.
    """

    def __init__(self, num_events: int, generator: torch.Generator) -> None:
        self.counts = torch.zeros(num_events, NUM_CELLS, dtype=torch.float64)
        self._generator = generator

    def add(self, events: Tensor, log_probs: Tensor, values: Tensor) -> None:
        """Add dims: `(n,)` their events, `(n, K)` their distributions, `(n,)` their values."""
        cells = (transformed(log_probs, values, self._generator) * NUM_CELLS).long()
        place = events * NUM_CELLS + cells.clamp(max=NUM_CELLS - 1)
        self.counts.view(-1).index_add_(0, place, torch.ones(len(place), dtype=torch.float64))


def transformed(log_probs: Tensor, values: Tensor, generator: torch.Generator) -> Tensor:
    """The randomised transform of dims, `(n,)` float64 in [0, 1].

    Args:
        log_probs: of all values, `(n, K)` nats, float64.
        values: of the dims, `(n,)` int64.
        generator: of v.
    """
    probs = log_probs.exp()
    own = values.unsqueeze(-1)
    mass = probs.gather(-1, own)
    below = probs.cumsum(-1).gather(-1, own) - mass
    v = torch.rand(mass.shape, generator=generator, dtype=torch.float64)
    return (below + v * mass).squeeze(-1).clamp(0, 1)


def furthest(counts: Tensor) -> Tensor:
    """How far the distribution of histograms `(..., cells)` is from the uniform one, at most.

    Kolmogorov's distance `max |F(u) - u|`, over the edges of the cells.
    """
    shares = counts.cumsum(-1) / counts.sum(-1, keepdim=True)
    edges = torch.arange(1, counts.shape[-1] + 1, dtype=torch.float64) / counts.shape[-1]
    return (shares - edges).abs().amax(-1)


@dataclass(frozen=True)
class UniformTest:
    """Whether the transform is uniform.

    Attributes:
        statistic: Hotelling's T squared.
        p_value: of a statistic as large, if it is uniform.
    """

    statistic: float
    p_value: float


def uniform_test(counts: Tensor, groups: Groups) -> UniformTest | None:
    """Hotelling's test that ten cells of the transform are equally likely; None for few groups.

    It is over groups: each has a vector of surpluses, counts minus what is expected. If their mean
    is 0, `(G - q) / (q (G - 1)) T^2` is F with q and G - q degrees of freedom. So dims of a group
    may depend on each other in any way.

    Source: Hotelling, "The generalization of Student's ratio", Annals of Mathematical Statistics
    2, 1931.

    Args:
        counts: `(N, cells)` of every event.
        groups: which events are not independent.
    """
    if groups.count < _FEWEST_GROUPS:
        return None
    cells = groups.sums(counts.view(len(counts), _NUM_TESTED, -1).sum(-1))
    surplus = (cells - cells.mean(1, keepdim=True))[:, :-1]
    count, num_free = surplus.shape
    mean = surplus.mean(0)
    statistic = count * (mean @ torch.linalg.pinv(torch.cov(surplus.T)) @ mean).item()
    scaled = (count - num_free) / (num_free * (count - 1)) * statistic
    return UniformTest(statistic, float(stats.f.sf(scaled, num_free, count - num_free)))
