"""Invariance checks: batch size, batch order, save and load, train and eval mode."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arbench.probability.ensemble import Ensemble
from arbench.probability.flows.flow import Flow
from arbench.probability.model import Model
from arbench.testing.causality import require_causal
from arbench.testing.distributions import (
    check_samples_follow,
    check_sums_to_one,
    require_normalised,
)
from arbench.testing.subject import ConformanceError, NotApplicableError, Subject, TinySubject

_NUM_EVENTS = 32
_NUM_SAMPLES = 5000
# Kernels round differently for different batch sizes; nats in float64.
_ROUNDING_NATS = 1e-9


def check_invariances(subject: TinySubject[Any]) -> None:
    """Repeated calls, batch order, batch size, modes and save/load leave log-probabilities alone.

    So does what is fed after the end of an event of varying length, and asking for the last sites
    alone (`TailNetwork`). Up to 1e-9 nats. Batch normalisation breaks it in training mode; dropout
    does not, since what is random there is not compared.

    Raises:
        ConformanceError: naming what changed them, and by how much.
    """
    model = subject.sharpened()
    events = subject.random_events(_NUM_EVENTS, seed=12)
    first = _log_probs(subject, model, events)
    _same(first, _log_probs(subject, model, events), "calling log_prob a second time")
    _log_probs(subject, model, subject.random_events(7, seed=13))
    _same(first, _log_probs(subject, model, events), "evaluating another batch in between")
    order = torch.randperm(_NUM_EVENTS, generator=torch.Generator().manual_seed(14))
    _same(
        first[order], _log_probs(subject, model, events[order]), "the order of events in the batch"
    )
    alone = torch.cat([_log_probs(subject, model, event[None]) for event in events])
    _same(first, alone, "evaluating events one at a time")
    _check_modes(subject, model, events, first)
    restored = subject.fresh(seed=1)
    try:
        restored.load_state_dict({k: v.clone() for k, v in model.state_dict().items()})
    except RuntimeError as error:
        raise ConformanceError(
            f"weights of one instance do not load into another: {error}"
        ) from error
    _same(first, _log_probs(subject, restored, events), "saving and loading the weights")
    scored = subject.tiny.scored(events)
    if scored is not None:
        padded = torch.where(scored, events, subject.tiny.other(events, seed=17))
        with torch.no_grad():
            _same(first, model.log_prob(padded, scored), "what is fed after the end")
    elif isinstance(model, Model) and hasattr(model.network, "tail_params"):
        _check_tails(model, events)


@torch.no_grad()
def _check_tails(model: Model, events: Tensor) -> None:
    """Parameters of the last sites alone are those that they have among all, in every length."""
    sites = model.sites_of(events)
    expected = model.site_params(sites)
    for first in range(1, model.layout.num_sites):
        change = (model.site_params(sites, first) - expected[:, first:]).abs().max().item()
        if not change <= _ROUNDING_NATS:
            raise ConformanceError(
                f"tail_params of the sites from {first} on differ from forward by {change:.2g}"
            )


def _check_modes(
    subject: TinySubject[Any], model: Model | Flow, events: Tensor, first: Tensor
) -> None:
    """Training mode and back; samples are those of evaluation mode whatever the mode."""
    noise = model.draw_noise(_NUM_EVENTS, torch.Generator().manual_seed(15))
    samples = model.sample(_NUM_EVENTS, noise=noise)
    model.train()
    modes = [m.training for m in model.modules()]
    if not torch.equal(samples, model.sample(_NUM_EVENTS, noise=noise)):
        raise ConformanceError("samples for equal noise differ when the network is in train mode")
    if modes != [m.training for m in model.modules()]:
        raise ConformanceError("sampling changes which submodules are in train mode")
    in_training = _log_probs(subject, model, events)
    if torch.equal(in_training, _log_probs(subject, model, events)):
        _same(first, in_training, "train mode, without randomness,")
    model.eval()
    _same(first, _log_probs(subject, model, events), "switching to train mode and back")


def check_reordered(subject: Subject) -> None:
    """Views in other orders share the weights, are causal and normalised, and form an ensemble.

    Raises:
        ConformanceError: naming the view and what is wrong with it.
        NotApplicableError: if the network has no `reordered`, or in another order padding would
            not come last.
    """
    if subject.tiny.end is not None:
        raise NotApplicableError("in another order than the raster scan padding is not last")
    base = subject.sharpened()
    if not hasattr(base.network, "reordered"):
        raise NotApplicableError("the network has no reordered")
    own = {id(p) for p in base.network.parameters()}
    members = []
    for seed in (1, 2, 3):
        layout = subject.tiny.layout(seed)
        view = Model(base.network.reordered(layout, seed), subject.head(layout), layout).eval()
        extra = [n for n, p in view.network.named_parameters() if id(p) not in own]
        if extra:
            raise ConformanceError(f"a reordered view has weights of its own: {', '.join(extra)}")
        try:
            require_causal(view, subject)
            require_normalised(view, subject)
        except ConformanceError as error:
            raise ConformanceError(f"the view in the order of seed {seed}: {error}") from error
        members.append(view)
    if subject.tiny.is_real:
        return  # a mixture over orders has no conditionals to integrate
    try:
        ensemble = Ensemble(members)
        check_sums_to_one(ensemble, subject.tiny)
        generator = torch.Generator().manual_seed(16)
        samples = ensemble.sample(_NUM_SAMPLES, generator=generator)
        check_samples_follow(ensemble, samples, subject.tiny)
    except ConformanceError as error:
        raise ConformanceError(f"the ensemble over three orders: {error}") from error


def _log_probs(subject: TinySubject[Any], model: Model | Flow, events: Tensor) -> Tensor:
    with torch.no_grad():
        return model.log_prob(events, subject.tiny.scored(events))


def _same(expected: Tensor, found: Tensor, cause: str) -> None:
    """Raise unless two sets of log-probabilities are equal up to rounding."""
    change = (expected - found).abs().max().item()
    if not change <= _ROUNDING_NATS:
        raise ConformanceError(
            f"{cause} changes the log-probability of an event by {change:.2g} nats"
        )
