"""Checks that a model can memorise one event, and that every weight gets a gradient."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from arbench.probability.events import Discrete, Mixed, Real
from arbench.probability.model import Model
from arbench.testing.subject import (
    ConformanceError,
    NotApplicableError,
    Subject,
    TinySubject,
    learn,
)

_NUM_STEPS = 300
_LEARNING_RATES = (0.02, 0.002, 0.2)
# Of the nats of the uniform distribution; a sigmoid of a sigmoid cannot get below 0.45.
_MEMORISED_FRACTION = 0.15
# Nats per real dim, those of a scale of 0.09; with its parameters squashed into [0, 1] the
# head cannot get below -0.1.
_MEMORISED_REAL = -1.0
# Of the check of `training_params`; lengths of prefixes are spread over a batch, which helps.
_NUM_ORDERS, _NUM_ESTIMATES = 100, 4000
_MOST_ERRORS, _ROUNDING_NATS = 5.0, 1e-9
_NORMAL_NATS = 0.5 * math.log(2 * math.pi * math.e)


def check_memorises_one_event(subject: TinySubject[Any]) -> None:
    """Trained on a single event, the model gives it a high probability.

    Raises:
        ConformanceError: with the nats that it gets stuck at.
    """
    event = subject.random_events(1, seed=10)
    scored = subject.tiny.scored(event)
    num_dims = subject.spec.num_dims if scored is None else int(scored.sum())
    domains = subject.spec.dim_domains
    if not isinstance(subject.spec.domain, Mixed):
        domains *= num_dims
    uniform = sum(math.log(domain.size) for domain in domains if isinstance(domain, Discrete))
    num_real = sum(isinstance(domain, Real) for domain in domains)
    start = uniform + num_real * _NORMAL_NATS
    limit = _MEMORISED_FRACTION * uniform + _MEMORISED_REAL * num_real
    enough = _MEMORISED_FRACTION / 2 * uniform + 1.5 * _MEMORISED_REAL * num_real
    reference = "standard normal data: " if num_real else "uniform: "
    best = math.inf
    for learning_rate in _LEARNING_RATES:
        reached = learn(
            subject.fresh(),
            event,
            scored,
            num_steps=_NUM_STEPS,
            learning_rate=learning_rate,
            enough_nats=enough,
        )
        best = min(best, reached)
        if best < limit:
            return
    raise ConformanceError(
        f"trained on one event alone, the model still spends {best:.3g} nats on it ({reference}"
        f"{start:.3g}): are the params logits, or squashed twice?"
    )


def check_gradients(subject: TinySubject[Any]) -> None:
    """Every parameter tensor gets a gradient that is not zero everywhere, and is finite.

    Weights that speak of rows above or columns beside have nothing to say where there are none:
    what gets no gradient on the tiny events has to get one on larger ones of the same kind.

    Raises:
        ConformanceError: naming the tensors that do not.
        NotApplicableError: if the network fits itself, or has no weights.
    """
    idle = _idle_weights(subject)
    roomier = subject.tiny.roomier()
    if idle and roomier != subject.tiny:
        idle &= _idle_weights(dataclasses.replace(subject, tiny=roomier))
    if idle:
        raise ConformanceError(
            f"no gradient reaches {', '.join(sorted(idle))}: nothing depends on it"
        )


def check_training_params(subject: Subject) -> None:
    """What training makes large is, on average, the mean of the log-probability over all orders.

    Random orders are as good as all of them, as the network is asked in each exactly. A factor that
    is forgotten, or a site that is predicted from itself, moves the mean.

    Raises:
        ConformanceError: with both means and their standard errors.
        NotApplicableError: if events end: in other orders they have no likelihood.
    """
    if subject.tiny.end is not None:
        raise NotApplicableError("in another order than the raster scan padding is not last")
    model = subject.sharpened()
    event = subject.random_events(1, seed=12)
    found = []
    with torch.no_grad():
        for seed in range(_NUM_ORDERS):
            layout = subject.tiny.layout(seed)
            view = Model(model.network.reordered(layout, seed), subject.head(layout), layout).eval()
            found.append(view.log_prob(event))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            repeated = event.expand(_NUM_ESTIMATES, *event.shape[1:])
            estimates = model.training_log_prob(repeated)
    exact = torch.cat(found)
    gap = (exact.mean() - estimates.mean()).item()
    error = math.sqrt(exact.var().item() / len(exact) + estimates.var().item() / len(estimates))
    if not abs(gap) <= _MOST_ERRORS * error + _ROUNDING_NATS:
        raise ConformanceError(
            f"training estimates {estimates.mean().item():.4g} nats for an event whose "
            f"log-probability over orders is {exact.mean().item():.4g} on average, which is "
            f"{abs(gap) / error:.1f} standard errors off"
        )


def _idle_weights(subject: TinySubject[Any]) -> set[str]:
    """Names of the parameter tensors that get no gradient from random events.

    Raises:
        ConformanceError: if a gradient is not finite.
        NotApplicableError: if there can be no gradients.
    """
    model = subject.sharpened()
    if hasattr(model.network, "fit"):
        raise NotApplicableError("the network fits itself, without gradients")
    weights = {n: p for n, p in model.network.named_parameters() if p.requires_grad}
    if not weights:
        raise NotApplicableError("the network has no weights")
    model.zero_grad()
    events = subject.random_events(64, seed=11)
    torch.autograd.backward(-model.log_prob(events, subject.tiny.scored(events)).sum())
    wild = [n for n, p in weights.items() if p.grad is not None and not p.grad.isfinite().all()]
    if wild:
        raise ConformanceError(f"the gradient of {', '.join(wild)} is not finite")
    return {n for n, p in weights.items() if p.grad is None or not bool(p.grad.any())}
