"""The checks of layouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from arbench.probability.heads.natural import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.runs.config import LayoutConfig
from arbench.testing.cells import event_masses
from arbench.testing.conformance import ORDER_SEEDS
from arbench.testing.subject import ConformanceError
from arbench.testing.tiny import TINY_EVENTS, TinyEvents
from arbench.testing.toys import TableNetwork

_NUM_EVENTS = 3
_SUM_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class LayoutSubject:
    """One layout of tiny events.

    Attributes:
        layout: in the test.
        tiny: its events.
        order: the permutation it was made with; None is the raster scan.
    """

    layout: Layout
    tiny: TinyEvents
    order: list[int] | None

    def numbered(self) -> torch.Tensor:
        """One event `(1, *shape)` int64 whose dims are numbered in memory order."""
        return torch.arange(self.tiny.spec.num_dims).view(1, *self.tiny.spec.shape)


def check_bijection(subject: LayoutSubject) -> None:
    """`to_sites` holds every dim exactly once, in `(B, T, site_dim)`; `to_events` undoes it.

    Raises:
        ConformanceError: with the dims that are lost, or the place that differs.
    """
    layout, spec = subject.layout, subject.tiny.spec
    if layout.num_sites * layout.site_dim != spec.num_dims:
        raise ConformanceError(
            f"{layout.num_sites} sites of {layout.site_dim} dims do not cover an event of "
            f"{spec.num_dims} dims"
        )
    sites = layout.to_sites(subject.numbered())
    if tuple(sites.shape) != (1, layout.num_sites, layout.site_dim):
        raise ConformanceError(
            f"to_sites returned shape {tuple(sites.shape)}, expected (B, T, site_dim) = "
            f"{(1, layout.num_sites, layout.site_dim)}"
        )
    counts = torch.bincount(sites.flatten(), minlength=spec.num_dims)
    if bool((counts != 1).any()):
        dim = int((counts != 1).nonzero()[0])
        raise ConformanceError(f"dim {dim} of an event is in {int(counts[dim])} sites, not in one")
    events = subject.tiny.random(_NUM_EVENTS, seed=0)
    back = layout.to_events(layout.to_sites(events))
    if back.shape != events.shape or back.dtype != events.dtype:
        raise ConformanceError(
            f"to_events returned {tuple(back.shape)} {back.dtype} for events that were "
            f"{tuple(events.shape)} {events.dtype}"
        )
    if not torch.equal(back, events):
        dim = int((back != events).flatten(1).any(0).nonzero()[0])
        raise ConformanceError(f"to_events does not undo to_sites: dim {dim} comes back changed")


def check_order(subject: LayoutSubject) -> None:
    """Site t is canonical site `permutation[t]`, at `coordinates[t]` in the event.

    Raises:
        ConformanceError: with the site that is elsewhere.
    """
    layout = subject.layout
    expected = list(range(layout.num_sites)) if subject.order is None else subject.order
    if layout.permutation.tolist() != expected:
        raise ConformanceError(
            f"the permutation is {layout.permutation.tolist()}, but it was made with {expected}"
        )
    event, sites = subject.numbered()[0], layout.to_sites(subject.numbered())[0]
    for site, place in enumerate(layout.coordinates.tolist()):
        if event.dim() == 1:
            there = event[place[0]]
        else:
            row, column, *channel = place
            there = event[:, row, column] if not channel else event[channel[0], row, column]
        if not torch.equal(sites[site], there.reshape(-1)):
            raise ConformanceError(
                f"site {site} holds dims {sites[site].tolist()}, but its coordinates "
                f"{tuple(place)} are those of {there.reshape(-1).tolist()}"
            )


def check_prefix(subject: LayoutSubject) -> None:
    """The first n sites are a prefix of length n; anything with a hole is refused.

    Raises:
        ConformanceError: with n and what `prefix_length` said.
    """
    layout = subject.layout
    for length in range(layout.num_sites + 1):
        known = torch.zeros(1, layout.num_sites, layout.site_dim, dtype=torch.bool)
        known[:, :length] = True
        found = layout.prefix_length(layout.to_events(known)[0])
        if found != length:
            raise ConformanceError(f"the first {length} sites are a prefix of length {found}")
        if length + 2 > layout.num_sites:
            continue
        known[:, length + 1] = True
        try:
            found = layout.prefix_length(layout.to_events(known)[0])
        except ValueError:
            continue
        raise ConformanceError(
            f"site {length} is unknown and site {length + 1} is given, yet prefix_length says "
            f"{found}: conditioning on it is not exact"
        )


def check_scored(subject: LayoutSubject) -> None:
    """Nothing scored reads padding, what goes before may be read, and a pixel counts as a whole.

    Words that end get probabilities that sum to 1, or none.

    Raises:
        ConformanceError: with what is wrongly taken, or wrongly refused.
    """
    layout, tiny = subject.layout, subject.tiny
    places = layout.permutation[None, :, None].expand(1, -1, layout.site_dim)
    for first in range(layout.num_sites + 1):
        expected = places >= first
        try:
            found = layout.scored_sites(layout.to_events(expected))
        except ValueError as error:
            raise ConformanceError(
                f"sites from the raster scan's number {first} on are scored, the others are what "
                f"went before, as in a window of a stream; yet it is refused: {error}"
            ) from error
        if not torch.equal(found, expected[..., 0]):
            raise ConformanceError(
                f"sites from the raster scan's number {first} on are scored, but scored_sites says "
                f"{found[0].tolist()}"
            )
    if layout.site_dim > 1:
        scored = torch.ones(1, *tiny.spec.shape, dtype=torch.bool)
        scored[:, 0] = False
        try:
            layout.scored_sites(scored)
        except ValueError:
            return
        raise ConformanceError("a pixel of which one channel is not scored is taken all the same")
    if tiny.end is not None:
        head = natural_head(layout)
        model = Model(TableNetwork(layout, head.num_params, scale=2.0), head, layout).double()
        try:
            total = event_masses(model, tiny).sum().item()
        except ValueError:
            if layout.is_raster:
                raise ConformanceError("words that end are refused in the raster scan") from None
            return
        if not abs(total - 1) <= _SUM_TOLERANCE:
            raise ConformanceError(
                f"the probabilities of all words sum to {total:.10g}, not to 1: padding is read as "
                "if it were context"
            )


def check_grid(subject: LayoutSubject) -> None:
    """The grid is the raster's shape, and None in any other order.

    Raises:
        ConformanceError: with the grid.
    """
    layout = subject.layout
    if not layout.is_raster:
        if layout.grid is not None:
            raise ConformanceError(
                f"the grid is {layout.grid} in an order that is not the raster scan: a network "
                "would look for neighbours where there are none"
            )
        return
    if layout.grid is None:
        raise ConformanceError("the raster scan has no grid")
    places = torch.cartesian_prod(*(torch.arange(size) for size in layout.grid))
    if not torch.equal(places.view(-1, len(layout.grid)), layout.coordinates):
        raise ConformanceError(f"the grid {layout.grid} does not count as the coordinates do")


def check_config(subject: LayoutSubject) -> None:
    """What a configuration says of a layout makes the same layout again.

    Raises:
        ConformanceError: with what differs.
    """
    layout = subject.layout
    again = LayoutConfig.of(layout).build()
    alike = (again.spec, again.sites) == (layout.spec, layout.sites)
    if not (alike and torch.equal(again.permutation, layout.permutation)):
        raise ConformanceError(f"{layout} comes back from its config as {again}")


LAYOUT_CHECKS: dict[str, Callable[[LayoutSubject], None]] = {
    "bijection": check_bijection,
    "order": check_order,
    "prefix": check_prefix,
    "scored": check_scored,
    "grid": check_grid,
    "config": check_config,
}


def layout_subjects(layout_class: type[Layout] = Layout) -> dict[str, LayoutSubject]:
    """The class on all tiny events in every order, by name."""
    found = {}
    for name, tiny in TINY_EVENTS.items():
        for seed in ORDER_SEEDS:
            order = None if seed is None else tiny.layout(seed).permutation.tolist()
            layout = layout_class(tiny.spec, order=order, sites=tiny.sites)
            found[f"{name} {'raster' if seed is None else 'permuted'}"] = LayoutSubject(
                layout, tiny, order
            )
    return found
