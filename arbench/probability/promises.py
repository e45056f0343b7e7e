"""Measures what a density promises: causality, that `step` equals `forward`, that samples follow.

The conformance checks ask about tiny events, and every run at its end about its own (see
`arbench.runs.trained_checks`). Whether samples follow `log_prob` is asked by two statistics, both
sums of terms with mean 0 if samples are what the density says:

* Discrete dims, one of each site: `log p(x) + H`, with H the entropy of the dim given all that its
  conditional sees. The expectation is over all values, by `log_prob` alone, so that neither the
  sampler nor the head's `draw` is believed.
* All else, mixed dims too: `log p(x) - log p(y)`, with y where one step of Metropolis' algorithm
  moves x. The step leaves the density as it is, and x and y can be exchanged, whatever is proposed;
  a second draw from the same parameters would be wrong where the first is. Terms are cut at 3 nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from arbench.errors import PluginError
from arbench.probability.events import Discrete, Domain, Mixed, Real
from arbench.probability.heads.base import Head
from arbench.probability.model import Model
from arbench.probability.precision import widest_dtype
from arbench.probability.samplers import draw_noise, prepare_noise

if TYPE_CHECKING:
    from arbench.probability.density import Density

# How far, relative to the largest parameter, a float64 sum in another order may move what nothing
# influences. Only a network that says `reordered_sums`, itself or a part of it, is allowed it.
ROUNDING = 1e-10
# Rounding differs between one site's work and the whole pass; a wrong step differs far more.
STEP_ERROR = 1e-9
# By how many standard errors samples may differ from what `log_prob` says.
MOST_ERRORS = 5.0
# What float32 may add to a term, in nats.
_ROUNDING_NATS = 1e-6
# Where a value has no probability, so that one such sample weighs much, and is still a number.
_IMPOSSIBLE_NATS = 1e6
# A few huge terms would make up the whole variance, and hide what all others say.
_CUT_NATS = 3.0
_MOST_LISTED = 1024
_MOST_ELEMENTS = 1 << 26  # of all that is computed to list values, so that it takes seconds
_MOST_AT_ONCE = 1 << 21
_LEAST_SITES = 16
_FINEST = 12  # proposals are of all scales, by powers of 2, down to this one
_NUM_MOVES = 16


def other_values(values: Tensor, domain: Domain, generator: torch.Generator) -> Tensor:
    """Values that all differ from the given ones, of the same shape, dtype and device.

    Args:
        values: any shape; of mixed dims `(B, D)` or `(B, D, 1)`, in the domain's order.
        domain: of the values.
        generator: on the CPU.
    """
    if isinstance(domain, Real):
        shift = 0.5 + torch.rand(values.shape, generator=generator, dtype=values.dtype)
    else:
        shift = _turns(values, domain, generator)
        if isinstance(domain, Mixed):
            steps = 0.5 + torch.rand(values.shape, generator=generator, dtype=values.dtype)
            shift = torch.where(_sizes(values, domain) > 0, shift, steps)
    return _moved_by(values, shift.to(values.device), domain)


def step_differences(network: Any, sites: Tensor, expected: Tensor) -> Iterator[float]:
    """How far `step`, fed events site by site, is from the parameters of `forward`.

    Args:
        network: that can step.
        sites: `(B, T, site_dim)`.
        expected: `(B, T, P)`, what `forward` says of them.

    Yields:
        The largest difference at each site, in order.

    Raises:
        PluginError: if it returns no parameters and state, or parameters of another shape.
    """
    state, previous = network.init_state(len(sites)), None
    for t in range(sites.shape[1]):
        returned = network.step(state, previous, t)
        if not (isinstance(returned, tuple) and len(returned) == 2):
            raise PluginError(
                f"step returned a {type(returned).__name__}, expected a pair: parameters "
                "(B, P) and the state"
            )
        params, state = returned
        if params.shape != expected[:, t].shape:
            raise PluginError(
                f"step returned shape {tuple(params.shape)} at site {t}, expected "
                f"(B, P) = {tuple(expected[:, t].shape)}"
            )
        yield (params - expected[:, t]).abs().max().item()
        previous = sites[:, t]


@dataclass(frozen=True)
class Surprise:
    """A sum of terms that have mean 0 given all before them, with what it may be by chance.

    Attributes:
        total_nats: the sum, S.
        variance: W, in nats squared; of terms D with known conditional variances V it is
            `sum (D^2 + 2 V) / 3`, of terms with symmetric distributions `sum D^2`. In both cases
            `exp(a S - a^2 W / 2)` has mean 1 at most, for every a: so `|S| / sqrt(W)` has the tails
            of a normal variable, however skewed the terms are. Rare values would else be taken for
            a fault, both where there are some and where there are none.
            Source: Delyon, "Exponential inequalities for sums of weakly dependent variables",
            Electronic Journal of Probability 14, 2009; it rests on
            `exp(x - x^2 / 6) <= 1 + x + x^2 / 3`.
        num_terms: how many there are.
    """

    total_nats: float = 0.0
    variance: float = 0.0
    num_terms: int = 0

    @property
    def z(self) -> float:
        """The sum in units of its standard deviation."""
        floor = (_ROUNDING_NATS * max(1, self.num_terms)) ** 2
        return self.total_nats / math.sqrt(self.variance + floor)

    def __add__(self, other: Surprise) -> Surprise:
        return Surprise(
            self.total_nats + other.total_nats,
            self.variance + other.variance,
            self.num_terms + other.num_terms,
        )


@torch.no_grad()
def site_surprise(
    model: Model, events: Tensor, generator: torch.Generator, *, scale: float = 1.0
) -> Surprise:
    """How surprising samples of a model are, site by site.

    Args:
        model: that is said to have made them, in evaluation mode.
        events: `(B, *event_shape)`, independent samples.
        generator: on the CPU; says which sites and dims are looked at, and what is proposed.
        scale: of real dims, roughly.
    """
    head, layout = model.head, model.layout
    sites = model.sites_of(events)
    params = model.site_params(sites)
    size = layout.domain.size if isinstance(layout.domain, Discrete) else None
    is_quick = type(head).value_log_probs is not Head.value_log_probs
    if size is None or (size > _MOST_LISTED and not is_quick):
        return _moved(head, params, sites, generator, scale)
    # One dim of each of some sites, given the site's other dims too, by all of its values.
    cost = len(sites) * head.num_params * (1 if is_quick else size)
    num_chosen = min(layout.num_sites, max(_LEAST_SITES, _MOST_ELEMENTS // cost))
    chosen = torch.randperm(layout.num_sites, generator=generator)[:num_chosen].sort().values
    dim = int(torch.randint(layout.site_dim, (), generator=generator))
    at_once = max(1, _MOST_AT_ONCE // (len(sites) * size))
    found, widest = Surprise(), widest_dtype(params.device)
    for some in torch.split(chosen.to(sites.device), at_once):
        own_params, values = params[:, some], sites[:, some]
        joint = head.value_log_probs(own_params, values, dim).to(widest)
        log_probs = joint - joint.logsumexp(-1, keepdim=True)
        if layout.site_dim == 1:  # what is reported of it, which has to sum to 1
            own = head.log_prob(own_params, values).to(widest)
        else:  # given the other dims
            own = log_probs.take_along_dim(values[..., dim, None], -1).squeeze(-1)
        probs = log_probs.exp()
        entropies = torch.special.entr(probs).sum(-1)
        squares = torch.where(probs > 0, probs * log_probs.square(), 0.0).sum(-1)
        variances = (squares - entropies.square()).clamp(min=0)
        terms = (own + entropies).clamp(min=-_IMPOSSIBLE_NATS)
        weighed = (terms.square() + 2 * variances) / 3
        found += Surprise(terms.sum().item(), weighed.sum().item(), terms.numel())
    return found


@torch.no_grad()
def event_surprise(
    density: Density, events: Tensor, generator: torch.Generator, *, scale: float = 1.0
) -> Surprise:
    """How surprising samples are of a density whose conditionals nobody knows.

    A few steps of Metropolis' algorithm, each on a few dims: together they can be reversed as each
    can.

    Args:
        density: that is said to have made them; its `log_prob` is no bound.
        events: `(B, *event_shape)`, independent samples.
        generator: on the CPU.
        scale: of real dims, roughly.
    """
    events = events.cpu()
    scored = torch.ones(events.shape, dtype=torch.bool)
    num_dims = density.spec.num_dims
    before = now = density.log_prob(events, scored).cpu().double()
    for _ in range(_NUM_MOVES):
        count = 2 ** int(torch.randint(num_dims.bit_length(), (), generator=generator))
        moves = torch.rand(len(events), num_dims, generator=generator).argsort(1) < count
        shift = _shift(events, density.spec.domain, generator, scale)
        proposed = _moved_by(events, shift, density.spec.domain)
        proposed = torch.where(moves.view_as(events), proposed, events)
        then = density.log_prob(proposed, scored).cpu().double()
        accepted = _accepted(now, then, generator)
        now = torch.where(accepted, then, now)
        events = torch.where(accepted.view(-1, *[1] * (events.dim() - 1)), proposed, events)
    return _symmetric(before, now)


def _moved(
    head: Head, params: Tensor, sites: Tensor, generator: torch.Generator, scale: float
) -> Surprise:
    """Of every site, by where one step of Metropolis' algorithm moves it."""

    def draw() -> Tensor:
        noise = draw_noise(len(params), params.shape[1], head.num_uniforms, generator)
        return head.draw(params, prepare_noise(head, noise, params.device))

    # The difference of two draws has the right scale, if the draws are right; so not all are such.
    difference = draw() - draw()
    by_draws = torch.rand(params.shape[:2], generator=generator).to(sites.device) < 0.5
    others = _shift(sites.cpu(), head.layout.domain, generator, scale, by_event=False)
    shift = torch.where(by_draws[..., None], difference, others.to(sites))
    proposed = _moved_by(sites, shift, head.layout.domain)
    before = head.log_prob(params, sites).cpu().double()
    then = head.log_prob(params, proposed).cpu().double()
    accepted = _accepted(before, then, generator)
    return _symmetric(before, torch.where(accepted, then, before))


def _shift(
    values: Tensor,
    domain: Domain,
    generator: torch.Generator,
    scale: float,
    *,
    by_event: bool = True,
) -> Tensor:
    """By how much to move values, with no preference for a direction; see `_moved_by`.

    Args:
        values: `(B, ...)` on the CPU; of mixed dims `(B, D)` or `(B, D, 1)`.
        domain: of the values.
        generator: on the CPU.
        scale: of real dims, roughly.
        by_event: whether the real dims of an event have steps of one scale.
    """
    if isinstance(domain, Discrete):
        return _turns(values, domain, generator)
    rows = values.flatten(1) if by_event else values.view(-1, 1)
    steps = _steps(rows, generator, scale).view_as(values)
    if isinstance(domain, Real):
        return steps
    return torch.where(_sizes(values, domain) > 0, _turns(values, domain, generator), steps)


def _turns(values: Tensor, domain: Discrete | Mixed, generator: torch.Generator) -> Tensor:
    """From 1 to K - 1 for every discrete value, of its own K, in the dtype of mixed values."""
    if isinstance(domain, Discrete):
        return torch.randint(1, domain.size, values.shape, generator=generator)
    chance = torch.rand(values.shape, generator=generator, dtype=torch.float64)
    return (1 + (chance * (_sizes(values, domain).cpu() - 1)).floor()).to(values.dtype)


def _moved_by(values: Tensor, shift: Tensor, domain: Domain) -> Tensor:
    """The values moved; discrete ones begin again after the last."""
    moved = values + shift
    if isinstance(domain, Discrete):
        return moved % domain.size
    if isinstance(domain, Real):
        return moved
    sizes = _sizes(values, domain)
    return torch.where(sizes > 0, moved % sizes.clamp(min=1), moved)


def _sizes(values: Tensor, domain: Mixed) -> Tensor:
    """K of every dim of mixed values `(B, D)` or `(B, D, 1)`, `(D,)` or `(D, 1)`; 0 for real."""
    return torch.tensor(domain.sizes, device=values.device).view(-1, *values.shape[2:])


def _steps(values: Tensor, generator: torch.Generator, scale: float) -> Tensor:
    """Normal steps of all scales for `(B, N)` values, the same scale for an event's."""
    fineness = torch.randint(_FINEST + 1, values.shape[:1], generator=generator)
    steps = torch.randn(values.shape, generator=generator, dtype=torch.float64)
    return (steps * scale * 2.0 ** -fineness.double()[:, None]).to(values.dtype)


def _accepted(before: Tensor, then: Tensor, generator: torch.Generator) -> Tensor:
    """Which moves Metropolis' algorithm makes."""
    chance = torch.rand(before.shape, generator=generator, dtype=torch.float64)
    return chance.log() < then - before


def _symmetric(before: Tensor, after: Tensor) -> Surprise:
    """Of terms that are as likely to have the other sign, which they keep when they are cut."""
    lowest = -_IMPOSSIBLE_NATS
    terms = before.clamp(min=lowest) - after.clamp(min=lowest)
    terms = terms.clamp(-_CUT_NATS, _CUT_NATS)
    return Surprise(terms.sum().item(), terms.square().sum().item(), terms.numel())
