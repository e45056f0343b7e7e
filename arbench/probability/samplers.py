"""The samplers `step`, `fixed-point` and `whole`, and the noise that they take.

A sample is a deterministic function of the noise: `(B, T, U)` uniforms, one per choice. All three
samplers compute that function, so for equal noise they give equal samples:

* `sample_whole` runs the whole network once per site; it is the definition.
* `sample_stepwise` uses the network's own `init_state` and `step`, one site's work per site.
* `sample_fixed_point` iterates `x <- sample(params(x), noise)` until nothing changes. After round
  r the first r sites are final, so at most T rounds are needed, in practice few. Source: Song,
  Meng, Liao and Ermon, "Accelerating feedforward computation via parallel nonlinear equation
  solving", ICML 2021, algorithm 1 (Jacobi); stopping when nothing changes keeps it exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from arbench.probability.density import Excerpt
from arbench.probability.events import Discrete
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.probability.precision import widest_dtype

# Called with how many sites are done, and how many there are.
OnSite = Callable[[int, int], None]
_EXCERPT_SITES = 4


class SiteBySite(Protocol):
    """What a sampler needs: parameters of sites, and what to draw from them.

    Attributes:
        network: has `init_state` and `step`, for `sample_stepwise` alone.
        head: draws values from parameters.
        layout: says which sites there are.
    """

    network: Any
    head: Head
    layout: Layout

    def site_params(self, sites: Tensor) -> Tensor:
        """Parameters `(B, T, P)` of sites `(B, T, site_dim)`."""
        ...


Sampler = Callable[[SiteBySite, Tensor, Tensor, OnSite | None], Tensor]


def draw_noise(
    num_events: int, num_sites: int, num_uniforms: int, generator: torch.Generator | None = None
) -> Tensor:
    """Uniform noise `(B, T, U)` in [0, 1), float64, on the CPU.

    Drawing on the CPU whatever the device makes samples comparable between devices.
    """
    shape = (num_events, num_sites, num_uniforms)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def sample_whole(
    model: SiteBySite, prepared: Tensor, prefix: Tensor, progress: OnSite | None = None
) -> Tensor:
    """Samples by T forwards of the whole network.

    Args:
        model: what to sample.
        prepared: `(B, T, U)` float64, noise as `Head.prepare` left it.
        prefix: `(B, t, site_dim)`, the given sites; t may be 0.
        progress: called with (sites done, T).

    Returns:
        `(B, T, site_dim)` sites; the first t are the prefix.
    """
    sites = _start(model, prepared, prefix)
    num_sites = prepared.shape[1]
    for t in range(prefix.shape[1], num_sites):
        params = model.site_params(sites)[:, t]
        sites[:, t] = model.head.draw(params, prepared[:, t])
        if progress is not None:
            progress(t + 1, num_sites)
    return sites


def excerpt_of_whole(model: SiteBySite, noise: Tensor, sites: Tensor) -> Excerpt | None:
    """What `sample_whole` does at four sites, spread evenly over the order; None if it has no more.

    What lies before each of them is a sample, what lies after is 0, as when sampling gets there:
    the cost of a network may depend on it.

    Args:
        model: what to sample.
        noise: `(B, T, U)` float64.
        sites: `(B, T, site_dim)`, the samples that it gives.
    """
    num_sites = model.layout.num_sites
    if num_sites <= _EXCERPT_SITES:
        return None
    prepared = model.head.prepare(move_noise(noise, sites.device))
    jobs = []
    for t in (num_sites * (2 * i + 1) // (2 * _EXCERPT_SITES) for i in range(_EXCERPT_SITES)):
        before = torch.where(torch.arange(num_sites, device=sites.device) < t, 1, 0)
        jobs.append((t, sites * before[:, None], prepared[:, t]))

    @torch.no_grad()
    def draw() -> None:
        for t, known, own in jobs:
            model.head.draw(model.site_params(known)[:, t], own)

    return Excerpt(draw, num_sites / _EXCERPT_SITES)


def sample_stepwise(
    model: SiteBySite, prepared: Tensor, prefix: Tensor, progress: OnSite | None = None
) -> Tensor:
    """Samples with the network's `step`; arguments and result as for `sample_whole`."""
    sites = _start(model, prepared, prefix)
    batch_size, num_sites = prepared.shape[:2]
    num_given, dtype = prefix.shape[1], sites.dtype
    step, draw, by_site = model.network.step, model.head.draw, prepared.unbind(1)
    state = model.network.init_state(batch_size)
    drawn = list(sites[:, :num_given].unbind(1))
    previous = None
    for t in range(num_sites):
        params, state = step(state, previous, t)
        if t >= num_given:
            drawn.append(draw(params, by_site[t]).to(dtype))
        previous = drawn[t]
        if progress is not None:
            progress(t + 1, num_sites)
    return torch.stack(drawn, 1)


def sample_fixed_point(
    model: SiteBySite, prepared: Tensor, prefix: Tensor, progress: OnSite | None = None
) -> Tensor:
    """Samples by fixed-point iteration; arguments and result as for `sample_whole`.

    Events that have settled leave the batch, so each event costs only its own rounds.
    """
    sites = _start(model, prepared, prefix)
    num_given, num_sites = prefix.shape[1], prepared.shape[1]
    active = torch.arange(len(sites), device=sites.device)
    for round_number in range(num_given, num_sites):
        current = sites[active]
        proposal = model.head.draw(model.site_params(current), prepared[active]).to(sites.dtype)
        proposal[:, :num_given] = prefix[active]
        sites[active] = proposal
        active = active[(proposal != current).flatten(1).any(1)]
        if len(active) == 0:
            break
        if progress is not None:
            progress(round_number + 1, num_sites)
    if progress is not None:
        progress(num_sites, num_sites)
    return sites


SAMPLERS: dict[str, Sampler] = {
    "step": sample_stepwise,
    "fixed-point": sample_fixed_point,
    "whole": sample_whole,
}


def _start(model: SiteBySite, noise: Tensor, prefix: Tensor) -> Tensor:
    """Sites to fill in: zeros, with the prefix in place."""
    layout = model.layout
    discrete = isinstance(layout.domain, Discrete)
    dtype = torch.int64 if discrete else prefix.dtype
    sites = torch.zeros(
        (noise.shape[0], layout.num_sites, layout.site_dim), dtype=dtype, device=noise.device
    )
    sites[:, : prefix.shape[1]] = prefix
    return sites


def move_noise(noise: Tensor, device: torch.device) -> Tensor:
    """The noise on a device, in the widest type that the device has, still below 1."""
    dtype = widest_dtype(device)
    return noise.to(dtype).clamp(max=1 - torch.finfo(dtype).eps / 2).to(device)
