"""Groups of bits whose last one is the noisy parity of the others."""

from __future__ import annotations

import numpy as np

from arbench_toys.distributions import Bits, Distribution, Float, binary_entropy


class Parity(Distribution):
    """Independent groups of fair coins, each with their parity as its last bit.

    The parity is flipped with probability `flip`. All pairs of bits are independent in groups of
    four, so a model that sees only pairs learns nothing here.
    """

    def __init__(self, num_groups: int, group_size: int, flip: float) -> None:
        """Fix the groups and the noise, neither 0 nor 1."""
        self.num_groups = num_groups
        self.group_size = group_size
        self.flip = flip
        self.event_shape = (num_groups * group_size,)
        self.num_uniforms = num_groups * group_size

    @property
    def entropy_nats(self) -> float:
        """The fair coins' entropy and, in each group, the noise's."""
        fair_nats = (self.group_size - 1) * np.log(2)
        return float(self.num_groups * (fair_nats + binary_entropy(self.flip)))

    def log_prob(self, events: Bits) -> Float:
        """Log-probability `(N,)` in nats of events `(N, D)`."""
        groups = events.reshape(-1, self.num_groups, self.group_size)
        last = np.log([1 - self.flip, self.flip])[groups.sum(axis=2) % 2].sum(axis=1)
        fair = -self.num_groups * (self.group_size - 1) * np.log(2)
        return np.asarray(fair + last, dtype=np.float64)

    def sample(self, uniforms: Float) -> Bits:
        """Events `(N, D)` from numbers `(N, D)`, one for each bit."""
        numbers = uniforms.reshape(-1, self.num_groups, self.group_size)
        groups = (numbers >= 0.5).astype(np.uint8)
        parity = groups[:, :, :-1].sum(axis=2) % 2
        groups[:, :, -1] = parity ^ (numbers[:, :, -1] < self.flip)
        return groups.reshape(-1, *self.event_shape)
