"""Checks what a network offers beside its parameters: features of events."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.probability.model import Model
from arbench.testing.subject import ConformanceError, NotApplicableError, Subject

_NUM_EVENTS = 32
_ROUNDING = 1e-9  # of float64 kernels, for other batch sizes; relative to the largest feature


def check_features(subject: Subject) -> None:
    """Features are a finite vector for each event, made of it alone, and events differ in them.

    Repeated calls, batch order, batch size and train or eval mode leave them alone, and they leave
    the log-probabilities alone.

    Raises:
        ConformanceError: naming what is wrong with them.
        NotApplicableError: if the network offers none.
    """
    model = subject.sharpened()
    if not hasattr(model, "features"):
        raise NotApplicableError("the network has no features")
    events = subject.random_events(_NUM_EVENTS, seed=18)
    before = _log_probs(model, events)
    first = model.features(events)
    if first.dtype != torch.float64:
        raise ConformanceError(f"features are {first.dtype}, and the weights are float64")
    if not bool(first.isfinite().all()):
        raise ConformanceError("a feature is not finite on ordinary events")
    if bool((first == first[0]).all()):
        raise ConformanceError(f"{_NUM_EVENTS} random events have the same features")
    _same(first, model.features(events), "asking for features a second time")
    if not torch.equal(before, _log_probs(model, events)):
        raise ConformanceError("asking for features changes log-probabilities")
    order = torch.randperm(_NUM_EVENTS, generator=torch.Generator().manual_seed(19))
    _same(first[order], model.features(events[order]), "the order of events in the batch")
    alone = torch.cat([model.features(event[None]) for event in events])
    _same(first, alone, "looking at events one at a time")
    model.train()
    _same(first, model.features(events), "train mode")


def _log_probs(model: Model, events: Tensor) -> Tensor:
    with torch.no_grad():
        return model.log_prob(events)


def _same(expected: Tensor, found: Tensor, cause: str) -> None:
    """Raise unless two sets of features are equal up to rounding."""
    change = (expected - found).abs().max().item()
    if not change <= _ROUNDING * max(1.0, expected.abs().max().item()):
        raise ConformanceError(f"{cause} changes a feature of an event by {change:.2g}")
