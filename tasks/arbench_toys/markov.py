"""A stationary binary Markov chain."""

from __future__ import annotations

import numpy as np

from arbench_toys.distributions import Bits, Distribution, Float, binary_entropy


class MarkovChain(Distribution):
    """A chain of bits that turns on with probability `on` and off with probability `off`.

    The first bit follows the stationary distribution, 1 with probability `on / (on + off)`.
    """

    def __init__(self, length: int, on: float, off: float) -> None:
        """Fix the length and the two probabilities, neither 0 nor 1."""
        self.start = on / (on + off)
        self.one_after = np.array([on, 1 - off])  # probability of a 1, given the bit before
        self.event_shape = (length,)
        self.num_uniforms = length

    @property
    def entropy_nats(self) -> float:
        """The first bit's entropy and, for each further one, that of a step of the chain."""
        after_zero, after_one = (binary_entropy(p) for p in self.one_after)
        step_nats = (1 - self.start) * after_zero + self.start * after_one
        return binary_entropy(self.start) + (self.event_shape[0] - 1) * step_nats

    def log_prob(self, events: Bits) -> Float:
        """Log-probability `(N,)` in nats of events `(N, T)`."""
        one = np.empty(events.shape)
        one[:, 0] = self.start
        one[:, 1:] = self.one_after[events[:, :-1]]
        return np.asarray(np.log(np.where(events == 1, one, 1 - one)).sum(axis=1))

    def sample(self, uniforms: Float) -> Bits:
        """Events `(N, T)` from numbers `(N, T)`, one for each bit."""
        events = np.empty(uniforms.shape, dtype=np.uint8)
        events[:, 0] = uniforms[:, 0] < self.start
        for t in range(1, self.num_uniforms):
            events[:, t] = uniforms[:, t] < self.one_after[events[:, t - 1]]
        return events
