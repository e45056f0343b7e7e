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
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from arbench.probability.heads.base import Head
from arbench.probability.native.step import in_one_thread, native_step_of
from arbench.probability.precision import widest_dtype

if TYPE_CHECKING:
    from arbench.probability.density import Excerpt
    from arbench.probability.extras import SteppingNetwork

# Called with how many sites are done, and how many there are.
OnSite = Callable[[int, int], None]
# Takes the sites `(B, T, site_dim)` that a sampler writes to, for who wants to see them grow.
Watch = Callable[[Tensor], OnSite]
# Parameters `(B, T, P)` of sites `(B, T, site_dim)`.
SiteParams = Callable[[Tensor], Tensor]
# The first argument is a network that steps for "step", `SiteParams` for the others.
Sampler = Callable[[Any, Head, Tensor, Tensor, int, OnSite | None], Tensor]
_EXCERPT_SITES = 4


def draw_noise(
    num_events: int, num_sites: int, num_uniforms: int, generator: torch.Generator | None = None
) -> Tensor:
    """Uniform noise `(B, T, U)` in [0, 1), float64, on the CPU.

    Drawing on the CPU whatever the device makes samples comparable between devices.
    """
    shape = (num_events, num_sites, num_uniforms)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def prepare_noise(head: Head, noise: Tensor, device: torch.device) -> Tensor:
    """What a head draws from, `(..., U)`: noise on a device, as `Head.prepare` leaves it.

    It is in the widest type that the device has, and still below 1 before the head prepares it.
    """
    dtype = widest_dtype(device)
    return head.prepare(noise.to(dtype).clamp(max=1 - torch.finfo(dtype).eps / 2).to(device))


def sample_whole(
    site_params: SiteParams,
    head: Head,
    noise: Tensor,
    sites: Tensor,
    num_given: int,
    progress: OnSite | None,
) -> Tensor:
    """Samples by T forwards of the whole network.

    Args:
        site_params: of the model to sample.
        head: draws values from parameters.
        noise: `(B, T, U)` float64.
        sites: `(B, T, site_dim)`: those that are given, then zeros; may be written to.
        num_given: how many sites are given.
        progress: called with (sites done, T).

    Returns:
        `(B, T, site_dim)` sites, of which the first are those that were given.
    """
    num_sites, prepared = sites.shape[1], prepare_noise(head, noise, sites.device)
    for t in range(num_given, num_sites):
        params = site_params(sites)[:, t]
        sites[:, t] = head.at(t).draw(params, prepared[:, t])
        if progress is not None:
            progress(t + 1, num_sites)
    return sites


def excerpt_of_whole(
    site_params: SiteParams, head: Head, noise: Tensor, sites: Tensor
) -> Excerpt | None:
    """What `sample_whole` does at four sites, spread evenly over the order; None if it has no more.

    What lies before each of them is a sample, what lies after is 0, as when sampling gets there:
    the cost of a network may depend on it.

    Args:
        site_params: of the model to sample.
        head: draws values from parameters.
        noise: `(B, T, U)` float64.
        sites: `(B, T, site_dim)`, the samples that it gives.
    """
    from arbench.probability.density import Excerpt

    num_sites = sites.shape[1]
    if num_sites <= _EXCERPT_SITES:
        return None
    prepared = prepare_noise(head, noise, sites.device)
    jobs = []
    for t in (num_sites * (2 * i + 1) // (2 * _EXCERPT_SITES) for i in range(_EXCERPT_SITES)):
        before = torch.where(torch.arange(num_sites, device=sites.device) < t, 1, 0)
        jobs.append((t, sites * before[:, None], prepared[:, t]))

    @torch.no_grad()
    def draw() -> None:
        for t, known, own in jobs:
            head.at(t).draw(site_params(known)[:, t], own)

    return Excerpt(draw, num_sites / _EXCERPT_SITES)


def sample_stepwise(
    network: SteppingNetwork,
    head: Head,
    noise: Tensor,
    sites: Tensor,
    num_given: int,
    progress: OnSite | None,
) -> Tensor:
    """Samples with the network's `step`; other arguments and result as for `sample_whole`.

    It takes the compiled form of the step where there is one; see `native_step_of`.
    """
    with in_one_thread():
        if native := native_step_of(network, head, sites):
            from arbench.probability.native.walk import sample_natively

            prepared = prepare_noise(head, noise, sites.device)
            return sample_natively(*native, head.num_params, prepared, sites, num_given, progress)
    (batch_size, num_sites), dtype = sites.shape[:2], sites.dtype
    step, at = network.step, head.at
    by_site = prepare_noise(head, noise, sites.device).unbind(1)
    state = network.init_state(batch_size)
    drawn = list(sites[:, :num_given].unbind(1))
    previous, first = None, 0
    if 1 < num_given < num_sites and hasattr(network, "prefill"):
        state = network.prefill(state, sites[:, :num_given])
        previous, first = drawn[-1], num_given
    for t in range(first, num_sites):
        params, state = step(state, previous, t)
        if t >= num_given:
            drawn.append(at(t).draw(params, by_site[t]).to(dtype))
        previous = drawn[t]
        if progress is not None:
            sites[:, t] = previous  # for whoever watches
            progress(t + 1, num_sites)
    return torch.stack(drawn, 1)


def sample_fixed_point(
    site_params: SiteParams,
    head: Head,
    noise: Tensor,
    sites: Tensor,
    num_given: int,
    progress: OnSite | None,
) -> Tensor:
    """Samples by fixed-point iteration; arguments and result as for `sample_whole`.

    Events that have settled leave the batch, so each event costs only its own rounds.
    """
    given, num_sites = sites[:, :num_given].clone(), sites.shape[1]
    prepared = prepare_noise(head, noise, sites.device)
    active = torch.arange(len(sites), device=sites.device)
    for round_number in range(num_given, num_sites):
        current = sites[active]
        proposal = head.draw(site_params(current), prepared[active]).to(sites.dtype)
        proposal[:, :num_given] = given[active]
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
