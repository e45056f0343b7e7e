"""Probabilities of tiny events by sums, and of real dims by integrals.

Discrete events are cells of their own. Where dims are real the cells are those of one site, given
the sites before it, values or intervals: over more dims at once an integral is no longer cheap and
exact.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from arbench.probability.density import Density
from arbench.probability.events import Discrete, Real
from arbench.probability.model import Model
from arbench.testing.subject import ConformanceError
from arbench.testing.tiny import TinyEvents

# Real dims are integrated over `x = sinh(t)`: fine steps where the data are, and a long way out.
# By the midpoint rule, which for a smooth function that vanishes at both ends converges faster
# than any power of the step: within 1e-8 for scales above 0.05 that lie within 4 of the origin.
_REACH = 7.0  # of t; 548 in x
_NUM_CELLS = 140
_POINTS_PER_CELL = 8


def event_masses(density: Density, tiny: TinyEvents) -> Tensor:
    """The probability of every listed event, `(N,)` float64 on the CPU.

    Raises:
        ConformanceError: if log_prob has the wrong shape or dtype.
    """
    events = tiny.listed()
    with torch.no_grad():
        log_probs = density.log_prob(events, tiny.scored(events))
    if log_probs.shape != (len(events),) or log_probs.dtype != torch.float64:
        raise ConformanceError(
            f"log_prob of {len(events)} events has shape {tuple(log_probs.shape)} and "
            f"{log_probs.dtype}, expected ({len(events)},) and torch.float64"
        )
    return log_probs.exp().cpu()


def event_numbers(samples: Tensor, tiny: TinyEvents) -> Tensor:
    """Which listed event each sample `(B, *shape)` is, `(B,)` int64; padding may hold anything."""
    codes = _spell(tiny.ended(samples.cpu()), tiny)
    return torch.searchsorted(_spell(tiny.listed(), tiny), codes)


def site_masses(model: Model, context: Tensor, site: int) -> Tensor:
    """The probability that a site falls into each of its cells, given the sites before it.

    Args:
        model: of real or mixed dims, one per site.
        context: `(T, 1)` float64; sites before `site` are given, the one itself is integrated or
            summed over.
        site: its number in the layout's order.

    Returns:
        `(N,)` float64.
    """
    points, log_widths, num_cells = site_grid(model.layout.domain_of(site))
    sites = context.repeat(len(points), 1, 1)
    sites[:, site, 0] = points
    with torch.no_grad():
        log_probs = model.site_log_probs(model.layout.to_events(sites))[:, site]
    return (log_probs + log_widths).exp().view(num_cells, -1).sum(1)


def site_grid(domain: Discrete | Real) -> tuple[Tensor, Tensor, int]:
    """As `real_grid`; the points of a discrete dim are its values, each a cell of its own."""
    if isinstance(domain, Real):
        return real_grid()
    return torch.arange(domain.size).double(), torch.zeros(domain.size).double(), domain.size


def real_grid() -> tuple[Tensor, Tensor, int]:
    """Where an integral over a real dim is taken: points, logarithms of their widths, and N.

    Points and widths are `(N * n,)` float64; n neighbours make one of the N intervals.
    """
    num_points = _NUM_CELLS * _POINTS_PER_CELL
    step = 2 * _REACH / num_points
    t = (torch.arange(num_points).double() + 0.5) * step - _REACH
    return t.sinh(), t.cosh().log() + math.log(step), _NUM_CELLS


def cell_numbers(values: Tensor, domain: Discrete | Real) -> Tensor:
    """Which cell of a dim each value `(B,)` lies in, `(B,)` int64; see `interval_numbers`."""
    return interval_numbers(values) if isinstance(domain, Real) else values.long()


def cell_name(number: int, domain: Discrete | Real) -> str:
    """A cell in words."""
    return interval_name(number) if isinstance(domain, Real) else f"the value {number}"


def interval_numbers(values: Tensor) -> Tensor:
    """Which interval each value `(B,)` lies in, `(B,)` int64; N for those beyond all."""
    number = ((values.double().asinh() + _REACH) * (_NUM_CELLS / (2 * _REACH))).floor().long()
    return number.masked_fill((number < 0) | (number >= _NUM_CELLS), _NUM_CELLS)


def interval_name(number: int) -> str:
    """An interval in words."""
    width = 2 * _REACH / _NUM_CELLS
    edges = torch.tensor([number, number + 1]).double() * width - _REACH
    low, high = edges.sinh().tolist()
    return f"between {low:.3g} and {high:.3g}"


def _spell(events: Tensor, tiny: TinyEvents) -> Tensor:
    """Events as numbers `(B,)` that grow in the order of the list."""
    size, digits = len(tiny.values), events.flatten(1)
    powers = size ** torch.arange(digits.shape[1] - 1, -1, -1)
    return (digits * powers).sum(1)
