"""Checks of the mixture of an ensemble and of bits/dim.

Both are where right models become wrong results. The functions take anything that makes such a
number, so that somebody else's evaluation can be held to them too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from arbench.data.tasks import Split
from arbench.probability.density import Density
from arbench.probability.model import Model
from arbench.testing.distributions import check_sums_to_one
from arbench.testing.subject import ConformanceError, Subject
from arbench.testing.tiny import TINY_EVENTS
from arbench.testing.toys import TableNetwork

_ROUNDING_NATS = 1e-9
_ROUNDING_BITS = 1e-9
# No multiple of a common batch size, so that there is a last partial batch.
_NUM_EVENTS = 203
_COLOURS, _WORDS = "colour-1x2", "words-5"


def check_mixture(mixture: Density, members: Sequence[Density], events: Tensor) -> None:
    """A mixture's probability of an event is the mean of its members', and all sum to 1.

    Args:
        mixture: of few discrete events.
        members: with equal weights.
        events: `(B, *shape)`.

    Raises:
        ConformanceError: with the event and both numbers, or with the sum.
    """
    with torch.no_grad():
        found = mixture.log_prob(events)
        joint = torch.stack([member.log_prob(events) for member in members])
    expected = joint.logsumexp(0) - math.log(len(members))
    event = int((found - expected).abs().argmax())
    if not abs(found[event] - expected[event]) <= _ROUNDING_NATS:
        raise ConformanceError(
            f"the mixture gives event {event} {found[event].item():.6g} nats, but the mean of its "
            f"members' probabilities is {expected[event].item():.6g}: logits or log-probabilities "
            "were averaged, or conditionals of members in different orders"
        )
    check_sums_to_one(mixture)


def check_bits_per_dim(measure: Callable[[Density, Split], float]) -> None:
    """Bits per dim are all nats over all scored dims, the last partial batch included.

    Tried on colour images, whose dims are channels and not pixels, and on words of varying length,
    whose padding counts for nothing. The events of the last batch cost more than the others.

    Args:
        measure: makes bits per dim of a density and a split.

    Raises:
        ConformanceError: with what was found and what it should be.
    """
    for name in (_COLOURS, _WORDS):
        model = Subject(TableNetwork, TINY_EVENTS[name]).sharpened()
        split = _dearest_last(model, name)
        expected_nats = -_log_probs(model, split).sum().item()
        dims = split.num_scored_dims
        expected = expected_nats / dims / math.log(2)
        found = measure(model, split)
        if not abs(found - expected) <= _ROUNDING_BITS * max(1.0, expected):
            # What the denominator would be if the numerator were right.
            implied = expected_nats / math.log(2) / found if found else math.inf
            raise ConformanceError(
                f"{name}: found {found:.6g} bits/dim, but {expected_nats:.6g} nats over {dims} "
                f"scored dims of {len(split)} events are {expected:.6g} (as if there were "
                f"{implied:.6g} dims)"
            )


def _dearest_last(model: Model, name: str) -> Split:
    """Random events in the order of their nats per dim, and which of their dims are scored."""
    tiny = TINY_EVENTS[name]
    events = tiny.random(_NUM_EVENTS, seed=0)
    split = Split(events, tiny.scored(events))
    order = (-_log_probs(model, split) / split.scored_dims).argsort()
    return Split(events[order], tiny.scored(events[order]))


def _log_probs(model: Model, split: Split) -> Tensor:
    with torch.no_grad():
        return model.log_prob(split.events, split.scored)
