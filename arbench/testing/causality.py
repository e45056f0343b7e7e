"""Causality and influence checks: no site sees later ones, and every earlier one is seen."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.promises import ROUNDING, other_values
from arbench.testing.subject import ConformanceError, Subject, site_params
from arbench.testing.tiny import some_values

_NUM_CONTEXTS = 48
_NUM_NAMED = 6


def check_causality(subject: Subject) -> None:
    """Changing site s, alone or with all later ones, leaves the parameters up to s unchanged.

    Raises:
        ConformanceError: with the sites and by how much the parameters moved.
    """
    require_causal(subject.sharpened(), subject)


def require_causal(model: Model, subject: Subject) -> None:
    """`check_causality` for a given model of the subject's spec, in whatever order."""
    layout = model.layout
    sites = layout.to_sites(subject.random_events(_NUM_CONTEXTS, seed=2))
    before = site_params(model, layout.to_events(sites))
    allowed = subject.tolerance * before.abs().max().item()
    # One site at a time first: that names the site that leaks.
    for alone in (True, False):
        for s in range(layout.num_sites):
            last = s + 1 if alone else layout.num_sites
            changed = _change(sites, s, last, layout)
            after = site_params(model, layout.to_events(changed))
            moved = (after - before)[:, : s + 1].abs().amax((0, 2))
            t = int(moved.argmax())
            if moved[t] > allowed:
                what = f"site {s}" if alone else f"sites {s} and later together"
                if moved[t] <= ROUNDING * before.abs().max():
                    why = (
                        "so little is the rounding of a sum in another order, as by an FFT, which "
                        "a network may have that says `reordered_sums = True`"
                    )
                elif alone and t == s:
                    why = "a site sees its own value"
                else:
                    why = "the mask leaks from the future"
                raise ConformanceError(
                    f"params at site {t} moved by {moved[t].item():.2g} when {what} changed: {why}"
                )


def influence(
    subject: Subject, advance: Callable[[float], object] = lambda fraction: None
) -> Tensor:
    """How far the parameters of site t move when site s alone changes, `(T, T)` float64 at [s, t].

    The largest movement over contexts and all values of a dim of site s, for the dim that moves
    them least: every channel of a pixel has to be seen. The contexts are random ones, and
    those that the model was sharpened on: a table has learned nothing about any other.

    Args:
        subject: whose model is meant, sharpened.
        advance: called with the share of the work that is done.
    """
    model = subject.sharpened()
    layout = model.layout
    contexts = (subject.random_events(_NUM_CONTEXTS, seed=3), subject.sharpening_events)
    sites = layout.to_sites(torch.cat(contexts))
    moved = []
    for s, dim in itertools.product(range(layout.num_sites), range(layout.site_dim)):
        params = []
        for value in some_values(layout.domain_of(s)):
            changed = sites.clone()
            changed[:, s, dim] = value
            params.append(site_params(model, layout.to_events(changed)))
        every = torch.stack(params)
        moved.append((every.amax(0) - every.amin(0)).amax((0, 2)))
        advance(len(moved) / layout.spec.num_dims)
    found = torch.stack(moved).view(layout.num_sites, layout.site_dim, -1).amin(1)
    # The rounding of a reordered sum is no influence.
    return found.masked_fill(found <= subject.tolerance * found.max(), 0)


def check_influence(subject: Subject) -> None:
    """Every site has influence on every later one.

    Raises:
        ConformanceError: naming the blind spots.
    """
    seen = influence(subject) > 0
    num_sites = len(seen)
    blind = [(s, t) for t in range(num_sites) for s in range(t) if not seen[s, t]]
    if blind:
        named = ", ".join(f"{t} never sees {s}" for s, t in blind[:_NUM_NAMED])
        more = f" and {len(blind) - _NUM_NAMED} more" if len(blind) > _NUM_NAMED else ""
        raise ConformanceError(
            f"{len(blind)} of {num_sites * (num_sites - 1) // 2} pairs of sites are blind spots: "
            f"site {named}{more}; declare it if it is meant"
        )


def _change(sites: Tensor, first: int, last: int, layout: Layout) -> Tensor:
    """The sites with every value in `[first, last)` replaced by another one."""
    generator = torch.Generator().manual_seed(first)
    changed = sites.clone()
    changed[:, first:last] = other_values(sites, layout.domain, generator)[:, first:last]
    return changed
