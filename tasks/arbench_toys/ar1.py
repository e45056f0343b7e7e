"""A stationary Gaussian autoregression of order 1."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from arbench import Real
from arbench_toys.distributions import Distribution, Events, Float


class GaussianAR1(Distribution):
    """`x_t = coefficient * x_{t-1} + sqrt(1 - coefficient^2) * e_t`, with standard normal e_t.

    Each value alone is standard normal.
    """

    domain = Real()

    def __init__(self, length: int, coefficient: float) -> None:
        """Fix the length and the coefficient, strictly between -1 and 1."""
        self.coefficient = coefficient
        self.event_shape = (length,)
        self.num_uniforms = length
        self._scales = np.full(length, np.sqrt(1 - coefficient**2))
        self._scales[0] = 1.0

    @property
    def entropy_nats(self) -> float:
        """The differential entropy: that of the independent normal innovations."""
        return float((0.5 * np.log(2 * np.pi * np.e) + np.log(self._scales)).sum())

    def log_prob(self, events: Events) -> Float:
        """Log-density `(N,)` in nats of events `(N, T)`."""
        means = np.zeros(events.shape)
        means[:, 1:] = self.coefficient * events[:, :-1]
        standard = (events - means) / self._scales
        terms = -0.5 * standard**2 - np.log(self._scales) - 0.5 * np.log(2 * np.pi)
        return np.asarray(terms.sum(axis=1))

    def sample(self, uniforms: Float) -> Events:
        """Events `(N, T)` float32 from numbers `(N, T)`, one for each innovation."""
        events = ndtri(np.maximum(uniforms, 2.0**-54)) * self._scales
        for t in range(1, self.num_uniforms):
            events[:, t] += self.coefficient * events[:, t - 1]
        return np.asarray(events, dtype=np.float32)
