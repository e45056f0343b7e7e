"""What a toy is drawn from: a distribution that knows itself exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bits = NDArray[np.uint8]


class Distribution(ABC):
    """A distribution over binary events.

    Attributes:
        event_shape: shape of one event.
        num_uniforms: how many uniform numbers one sample is a function of.
    """

    event_shape: tuple[int, ...]
    num_uniforms: int

    @property
    @abstractmethod
    def entropy_nats(self) -> float:
        """Entropy of one event in nats, from a formula and not from samples."""

    @abstractmethod
    def log_prob(self, events: Bits) -> Float:
        """Log-probability `(N,)` in nats of events `(N, *event_shape)`."""

    @abstractmethod
    def sample(self, uniforms: Float) -> Bits:
        """Events `(N, *event_shape)` from numbers `(N, num_uniforms)` in [0, 1)."""


def binary_entropy(probability: float) -> float:
    """Entropy in nats of a coin that shows 1 with the given probability, neither 0 nor 1."""
    both = np.array([probability, 1 - probability])
    return float(-(both * np.log(both)).sum())
