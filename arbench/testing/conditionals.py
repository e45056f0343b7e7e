"""Checks the distributions of dims that a density offers, `conditionals`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arbench.probability.density import Density
from arbench.probability.layouts import Layout
from arbench.testing.subject import ConformanceError, Subject

Conditionals = Callable[[Tensor, Tensor | None], Tensor]

_NUM_EVENTS = 12
_ROUNDING_NATS = 1e-9


def require_conditionals(density: Density, subject: Subject) -> None:
    """A density that offers conditionals offers those that its `log_prob` is made of.

    The probabilities of a dim's values sum to 1, those of an event's own values multiply to the
    event's, and no dim's depend on itself or on what its order puts later.

    Args:
        density: of one order, that of the subject.
        subject: its events.

    Raises:
        ConformanceError: with the dim and the number that is wrong.
    """
    conditionals: Conditionals | None = getattr(density, "conditionals", None)
    if conditionals is None:
        return
    if subject.tiny.is_real:
        raise ConformanceError("real dims have no list of values, yet it offers conditionals")
    events = subject.random_events(_NUM_EVENTS, seed=25)
    if subject.tiny.end is None:  # as in a window, whose first dims are context
        raster = subject.tiny.layout()
        scored = (_places(raster) >= raster.site_dim).expand_as(events)
    else:
        known = subject.tiny.scored(events)
        assert known is not None
        scored = known
    for mask in (None, scored):
        found = _found(conditionals, events, mask, len(subject.tiny.values))
        own = found.gather(-1, events[..., None]).squeeze(-1)
        total = (own if mask is None else own.masked_fill(~mask, 0.0)).flatten(1).sum(1)
        with torch.no_grad():
            off = total - density.log_prob(events, mask)
        event = int(off.abs().argmax())
        if not abs(off[event]) <= _ROUNDING_NATS * (1 + abs(total[event])):
            raise ConformanceError(
                f"those of the values of event {event} sum to {total[event].item():.6g} nats, and "
                f"its log_prob is {(total - off)[event].item():.6g}"
            )
        _require_causal(conditionals, subject, events, mask, found)


def _found(
    conditionals: Conditionals, events: Tensor, scored: Tensor | None, num_values: int
) -> Tensor:
    """The conditionals, normalised and of the right shape."""
    found = conditionals(events, scored)
    expected = (*events.shape, num_values)
    if tuple(found.shape) != expected or found.dtype != torch.float64:
        raise ConformanceError(
            f"they have shape {tuple(found.shape)} and {found.dtype}, expected {expected} and "
            "torch.float64"
        )
    totals = found.exp().sum(-1)
    worst = int((totals - 1).abs().argmax())
    if not abs(totals.flatten()[worst] - 1) <= _ROUNDING_NATS:
        dim = worst % events[0].numel()
        raise ConformanceError(
            f"the probabilities of the values of dim {dim} sum to "
            f"{totals.flatten()[worst].item():.10g}, not to 1"
        )
    return found


def _require_causal(
    conditionals: Conditionals,
    subject: Subject,
    events: Tensor,
    scored: Tensor | None,
    before: Tensor,
) -> None:
    """What comes later in the order moves nothing."""
    places = _places(subject.layout)
    changed = subject.tiny.other(events, seed=26)
    firsts = torch.arange(places.numel()).view(-1, 1, *[1] * places.dim())
    later = torch.where(places >= firsts, changed, events)  # (D, B, *shape)
    mask = None if scored is None else scored.expand_as(later).flatten(0, 1)
    found = conditionals(later.flatten(0, 1), mask).view(*later.shape, -1)
    moved = (found - before).abs().amax(-1).masked_fill(places > firsts, 0.0)
    worst = moved.flatten(2).amax((0, 1))
    dim = int(worst.argmax())
    if not worst[dim] <= _ROUNDING_NATS:
        raise ConformanceError(
            f"those of dim {dim} moved by {worst[dim].item():.2g} nats when dims changed that come "
            "no earlier in the order"
        )


def _places(layout: Layout) -> Tensor:
    """The place of every dim in the order, `event_shape` int64."""
    places = torch.arange(layout.spec.num_dims).view(1, layout.num_sites, layout.site_dim)
    return layout.to_events(places)[0]
