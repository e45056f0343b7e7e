"""How likely every value of every dim is: of a model, and of a mixture of models in one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from arbench.probability.events import Discrete
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.probability.precision import widen


class Factors(Protocol):
    """What of a `Model` is needed here."""

    head: Head
    layout: Layout

    def sites_of(self, events: Tensor) -> Tensor:
        """See `Model.sites_of`."""
        ...

    def site_params(self, sites: Tensor) -> Tensor:
        """See `Model.site_params`."""
        ...


def offers_conditionals(models: Sequence[Factors]) -> bool:
    """Whether every dim of a mixture of these has probabilities given the dims before it.

    The dims must be discrete, all models must have one order, and the head of sites of several
    dims must say how likely the values of the first ones are (`Head.next_log_probs`).
    """
    first = models[0].layout
    return (
        isinstance(first.domain, Discrete)
        and all(
            model.layout.sites == first.sites
            and torch.equal(model.layout.permutation, first.permutation)
            for model in models
        )
        and all(
            first.site_dim == 1 or type(model.head).next_log_probs is not Head.next_log_probs
            for model in models
        )
    )


@torch.no_grad()
def conditionals_of(
    models: Sequence[Factors], events: Tensor, scored: Tensor | None = None
) -> Tensor:
    """What `Conditionals.conditionals` says, of a mixture of models with equal weights.

    Given the dims before it, a dim has the mean of its distributions, each model weighted by how
    likely it makes those dims:
    `p(x_d | x_<d) = sum_m p_m(x_<d) p_m(x_d | x_<d) / sum_m p_m(x_<d)`. What is not scored is
    context, and moves no weight, as in the mixture's `log_prob`.

    Args:
        models: see `offers_conditionals`; one alone is itself.
        events: `(B, *event_shape)`.
        scored: as for `log_prob`.

    Returns:
        `(B, *event_shape, K)` float64 (float32 where the device has none), nats.

    Raises:
        ValueError: if events are outside the domain, or cannot be scored so in this order.
    """
    first = models[0]
    layout, sites = first.layout, first.sites_of(events)
    counted = None if scored is None else layout.scored_sites(scored.to(sites.device))
    every = [_of_sites(model, events) for model in models]
    if len(every) == 1:
        return _placed(layout, every[0])
    members = torch.stack(every)  # (M, B, T, C, K)
    own = members.gather(-1, sites.expand(len(models), *sites.shape)[..., None]).squeeze(-1)
    if counted is not None:
        own = own.masked_fill(~counted[..., None], 0.0)
    return _placed(layout, (members + _log_weights(own)[..., None]).logsumexp(0))


def _log_weights(own: Tensor) -> Tensor:
    """How much each model knows of what is before a dim, `(M, B, T, C)`, normalised over models.

    Args:
        own: log-probabilities of the dims, `(M, B, T, C)` nats; 0 where they do not count.
    """
    until = own.flatten(2).cumsum(-1)
    before = torch.cat((torch.zeros_like(until[..., :1]), until[..., :-1]), -1)
    return before.log_softmax(0).view_as(own)


def _of_sites(model: Factors, events: Tensor) -> Tensor:
    """Log-probabilities of every value of every dim of the sites, `(B, T, C, K)` nats."""
    model.layout.spec.validate(events)
    sites = model.sites_of(events)
    params = widen(model.site_params(sites))
    dims = range(model.layout.site_dim)
    every = [model.head.next_log_probs(params, sites[..., :dim]) for dim in dims]
    return every[0].unsqueeze(2) if len(every) == 1 else torch.stack(every, 2)


def _placed(layout: Layout, log_probs: Tensor) -> Tensor:
    """What dims of sites `(B, T, C, K)` have, at the dims' places in the events."""
    num_events, num_values = len(log_probs), log_probs.shape[-1]
    by_value = log_probs.movedim(-1, 1).flatten(0, 1)
    placed = layout.to_events(by_value).view(num_events, num_values, *layout.spec.shape)
    return placed.movedim(1, -1)
