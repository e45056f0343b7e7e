"""A plugin of networks and heads that are right when small and wrong at size, and right twins.

`arbench check` passes all of them: only what looks at the trained model itself can tell.
"""

from __future__ import annotations

import math
import re
import sys

import torch
from torch import Tensor, nn

from arbench import HeadEntry, ModelEntry, TaskEntry, hookimpl
from arbench.data.tasks import Split, SplitName, Task
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Bernoulli, Categorical, Gaussian, Head
from arbench.probability.layouts import Layout

LARGE = 100  # sites; nothing below is wrong with fewer


class Decaying(nn.Module):
    """A site's parameters depend on a decaying sum of all earlier values."""

    def __init__(self, layout: Layout, num_params: int, *, decay: float = 0.9) -> None:
        super().__init__()
        self.decay = decay
        self.bias = nn.Parameter(0.1 * torch.randn(layout.num_sites, num_params))
        self.weight = nn.Parameter(torch.randn(layout.num_sites, num_params))

    def forward(self, sites: Tensor) -> Tensor:
        total = torch.zeros(len(sites), dtype=self.bias.dtype, device=sites.device)
        params = []
        for site in range(sites.shape[1]):
            params.append(self.params(total, site))
            total = self.decay * total + sites[:, site].sum(-1)
        return torch.stack(params, 1)

    def params(self, total: Tensor, site: int) -> Tensor:
        """`(B, P)` from the sums `(B,)`."""
        return self.bias[site] + self.weight[site] * total.tanh()[:, None]


class DecayingSteps(Decaying):
    """It can step, too."""

    def init_state(self, batch_size: int) -> Tensor:
        return torch.zeros(batch_size, dtype=self.bias.dtype, device=self.bias.device)

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        if previous is not None:
            state = self.decay * state + previous.sum(-1)
        return self.params(state, site), state


class LeaksAtSize(Decaying):
    """In events of more than 100 sites each one sees its own value."""

    def forward(self, sites: Tensor) -> Tensor:
        params = super().forward(sites)
        if sites.shape[1] <= LARGE:
            return params
        return params + 4 * (2 * sites.sum(-1, keepdim=True) - 1)


class LeaksAtSizeAndSteps(LeaksAtSize, DecayingSteps):
    """The same, of a network that can step, and steps right."""


class LeaksAtItsEnd(Decaying):
    """Only the last site sees its own value, a little."""

    def forward(self, sites: Tensor) -> Tensor:
        params = super().forward(sites)
        if sites.shape[1] > LARGE:
            params[:, -1] = params[:, -1] + 0.1 * sites[:, -1].sum(-1, keepdim=True)
        return params


class LeaksTheLastSite(DecayingSteps):
    """Beyond the hundredth, sites see the last one of all."""

    def forward(self, sites: Tensor) -> Tensor:
        params = super().forward(sites)
        late = torch.arange(sites.shape[1], device=sites.device) > LARGE
        return params + 0.1 * late[:, None] * sites[:, -1:].sum(-1, keepdim=True)


class StepForgetsAtSize(DecayingSteps):
    """Beyond the hundredth site, `step` forgets what came before."""

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        return super().step(state * (site <= LARGE), previous, site)


class ShiftedFastStep(DecayingSteps):
    """Beyond the hundredth site, `step` in float32 is one site late; in float64 it is right."""

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        params, state = super().step(state, previous, site)
        if state.dtype == torch.float32 and site > LARGE:
            params = self.params(state, site - 1)
        return params, state


class ShiftedBernoulli(Bernoulli):
    """Draws the other value in large layouts."""

    name = "shifted-bernoulli"

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        drawn = super().draw(params, prepared)
        return 1 - drawn if self.layout.num_sites > LARGE else drawn


class ShiftedCategorical(Categorical):
    """Draws the next value in large layouts."""

    name = "shifted-categorical"

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        drawn = super().draw(params, prepared)
        is_large = self.layout.num_sites > LARGE
        return (drawn + 1) % self.layout.alphabet_size if is_large else drawn


class ShiftedGaussian(Gaussian):
    """Draws a value that is one standard deviation too large in large layouts."""

    name = "shifted-gaussian"

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        is_large = self.layout.num_sites > LARGE
        return super().draw(params, prepared + 1 if is_large else prepared)


class MeanGaussian(Gaussian):
    """Draws the mean in large layouts."""

    name = "mean-gaussian"

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        is_large = self.layout.num_sites > LARGE
        return super().draw(params, prepared * 0 if is_large else prepared)


class Unnormalised(Bernoulli):
    """In large layouts the probabilities of the two values sum to 1.1."""

    name = "unnormalised"

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        is_large = self.layout.num_sites > LARGE
        return super().log_prob(params, value) + (math.log(1.1) if is_large else 0.0)


class Large(Task):
    """Events of 144 dims, each near the one before it."""

    version = "1"
    domain: Discrete | Real

    def __init__(self) -> None:
        self.name = f"large-{type(self).__name__.lower()}"
        self.spec = EventSpec((144,), self.domain)

    def load(self, split: SplitName) -> Split:
        """The events `(N, 144)` of a split."""
        generator = torch.Generator().manual_seed(len(split))
        shape = ({"train": 600}.get(split, 200), 144)
        steps = 0.5 * torch.randn(shape, generator=generator)
        for t in range(1, 144):
            steps[:, t] += 0.8 * steps[:, t - 1]
        if isinstance(self.domain, Real):
            return Split(steps)
        size = self.domain.size
        return Split((size / 2 + steps).floor().clamp(0, size - 1).to(torch.uint8))


class Bits(Large):
    """Of two values."""

    domain = Discrete(2)


class Levels(Large):
    """Of five values."""

    domain = Discrete(5)


class Reals(Large):
    """Real numbers."""

    domain = Real()


def _named(base: type) -> dict[str, str]:
    """The classes here that inherit from another, by their names in small letters."""
    here = vars(sys.modules[__name__])
    return {
        re.sub("(?<=[a-z])(?=[A-Z])", "-", name).lower(): f"{__name__}:{name}"
        for name, value in here.items()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == __name__
    }


@hookimpl
def arbench_register_models() -> list[ModelEntry]:
    """All networks."""
    return [ModelEntry(name=name, network=target) for name, target in _named(Decaying).items()]


@hookimpl
def arbench_register_heads() -> list[HeadEntry]:
    """All heads."""
    return [HeadEntry(name=name, head=target) for name, target in _named(Head).items()]


@hookimpl
def arbench_register_tasks() -> list[TaskEntry]:
    """All tasks."""
    return [
        TaskEntry(name=f"large-{name}", task=target)
        for name, target in _named(Large).items()
        if name != "large"
    ]
