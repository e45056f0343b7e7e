"""The base class of a toy's distribution: exact log-probability and entropy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbench import Discrete, Domain

Float = NDArray[np.float64]
Bits = NDArray[np.uint8]
Events = NDArray[Any]  # Bits, or float32 where dims are real


class Distribution(ABC):
    """A distribution over events, which are binary unless `domain` says otherwise.

    Attributes:
        domain: what a dim may be.
        event_shape: shape of one event.
        num_uniforms: how many uniform numbers one sample needs.
    """

    domain: Domain = Discrete(2)
    event_shape: tuple[int, ...]
    num_uniforms: int

    @property
    @abstractmethod
    def entropy_nats(self) -> float:
        """Entropy of one event in nats, computed by a formula and not from samples."""

    @abstractmethod
    def log_prob(self, events: Events) -> Float:
        """Log-probability (or log-density) `(N,)` in nats of events `(N, *event_shape)`."""

    @abstractmethod
    def sample(self, uniforms: Float) -> Events:
        """Events `(N, *event_shape)` from numbers `(N, num_uniforms)` in [0, 1)."""


def binary_entropy(probability: float) -> float:
    """Entropy in nats of a coin that shows 1 with the given probability, neither 0 nor 1."""
    both = np.array([probability, 1 - probability])
    return float(-(both * np.log(both)).sum())
