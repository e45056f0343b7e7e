"""The tasks: which distribution, how many events, which stream of random numbers."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from arbench import SPLITS, Discrete, EventSpec, Split, SplitName, Task, uniforms
from arbench_toys.ar1 import GaussianAR1
from arbench_toys.distributions import Distribution
from arbench_toys.ising import Ising
from arbench_toys.markov import MarkovChain
from arbench_toys.parity import Parity

NUM_EVENTS: dict[SplitName, int] = {"train": 8000, "validation": 2000, "test": 4000}


class ToyTask(Task):
    """Events drawn from a distribution with known density.

    Attributes:
        distribution: the distribution of the events.
        seed: seeds the random numbers; each split has its own stream of them.
    """

    version = "1"
    source = "synthetic, drawn exactly and deterministically"
    distribution: Distribution
    seed: ClassVar[int]

    def __init__(self, distribution: Distribution) -> None:
        """Set the distribution; the task has its event shape and domain."""
        self.distribution = distribution
        self.spec = EventSpec(distribution.event_shape, distribution.domain)

    @property
    def entropy_nats(self) -> float:
        """The lowest mean negative log-likelihood that any model can have, in nats per event."""
        return self.distribution.entropy_nats

    def load(self, split: SplitName) -> Split:
        """The events `(N, *event_shape)` of a split, uint8 or float32."""
        shape = (NUM_EVENTS[split], self.distribution.num_uniforms)
        numbers = uniforms(math.prod(shape), self.seed, SPLITS.index(split)).reshape(shape)
        return Split(torch.from_numpy(self.distribution.sample(numbers)))

    def true_log_prob(self, events: Tensor) -> Tensor:
        """Log-probability or log-density `(B,)` in nats, float64, of events `(B, *event_shape)`.

        Raises:
            ValueError: if the events are not of this task's shape, or not in its domain.
        """
        self.spec.validate(events)
        dtype = torch.uint8 if isinstance(self.spec.domain, Discrete) else torch.float64
        exact = events.to(device="cpu", dtype=dtype).numpy()
        return torch.from_numpy(self.distribution.log_prob(exact))


class ParityTask(ToyTask):
    """Six groups of four bits; the last is the parity of the others, flipped with chance 0.1."""

    name = "toy-parity"
    seed = 1
    shared_events: ClassVar = {
        ("validation", "train"): 15,
        ("test", "train"): 35,
        ("test", "validation"): 5,
    }

    def __init__(self) -> None:
        """The task as it stands on boards."""
        super().__init__(Parity(num_groups=6, group_size=4, flip=0.1))


class MarkovTask(ToyTask):
    """A chain of 32 bits that turns on with probability 0.1 and off with probability 0.3."""

    name = "toy-markov"
    seed = 2
    shared_events: ClassVar = {
        ("validation", "train"): 461,
        ("test", "train"): 963,
        ("test", "validation"): 646,
    }

    def __init__(self) -> None:
        """The task as it stands on boards."""
        super().__init__(MarkovChain(length=32, on=0.1, off=0.3))


class IsingTask(ToyTask):
    """An 8x8 lattice just above its critical temperature, with a weak field that favours 1."""

    name = "toy-ising"
    unit = "pixel"
    seed = 3
    shared_events: ClassVar = {
        ("test", "train"): 2,
    }

    def __init__(self) -> None:
        """The task as it stands on boards."""
        super().__init__(Ising(height=8, width=8, coupling=0.4, field=0.02))


class AR1Task(ToyTask):
    """A Gaussian autoregression of 24 real values, each correlated 0.9 with the one before."""

    name = "toy-ar1"
    seed = 4

    def __init__(self) -> None:
        """The task as it stands on boards."""
        super().__init__(GaussianAR1(length=24, coefficient=0.9))
