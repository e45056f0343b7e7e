"""Events of varying length: which layouts may have padding, and why others are refused.

What lies after the end of an event is padding. It is fed and not scored, and it comes last in the
raster scan. In another order a site may come after padding and before the end: it would read how
long the event is before that is decided, and the probabilities of all events would not sum to 1.
So such a run is refused before it is trained, and one of an older arbench, which trained it, has
no likelihood. The windows of a stream are another matter: what is not scored there has gone before
and was scored in an earlier window.

Imports no torch: `arbench show` asks it, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from arbench.probability.layouts import Layout

_REMEDY = "layout.order=raster and ensemble.num_orderings=1"


def padding_fault(layouts: Sequence[Layout], masks: Sequence[Tensor | None]) -> str | None:
    """Why events have no likelihood; None if they have one.

    Args:
        layouts: of the density's members.
        masks: which dims of the events are scored, `(N, *event_shape)` boolean; None for all.
    """
    padded = [mask for mask in masks if mask is not None and not bool(mask.all())]
    if padded and any(not layout.is_raster for layout in layouts):
        return (
            "its events differ in length, and in an order other than the raster scan some sites "
            "would read what comes after the end of the event: the probabilities would not sum "
            f"to 1; set {_REMEDY}"
        )
    for mask in padded:
        try:
            layouts[0].scored_sites(mask)
        except ValueError as error:
            return f"{error}; set layout.sites=dim"
    return None


def no_likelihood(record: Mapping[str, Any]) -> str | None:
    """Why the number in a record is not a likelihood; None if it is one.

    Args:
        record: as JSON of the newest version, or a dump.
    """
    task, order = record["task"], record["model"]["layout"]
    likelihood = record["measurements"].get("likelihood") or {}
    if likelihood.get("windows") or order is None or order.startswith("raster "):
        return None
    if all(
        split["num_dims"] == split["num_events"] * task["num_dims"]
        for name in ("validation", "test")
        if (split := likelihood.get(name)) is not None
    ):
        return None
    return (
        f"no likelihood: events of {task['name']} differ in length, and in the order of this model "
        f"({order}) some sites read what comes after the end of the event, so the probabilities "
        f"do not sum to 1; the model still loads and samples; for a number, train with {_REMEDY}"
    )
