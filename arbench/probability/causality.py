"""Measures causality: do the parameters of a site change when later values do?.

The mathematics of the conformance checks, on tiny events, and of the checks that end a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from arbench.errors import PluginError
from arbench.probability.events import Discrete, Domain

ROUNDING = 1e-10  # of a float64 sum in another order, relative to the largest parameter
# Rounding differs between one site's work and the whole pass; a wrong step differs far more.
STEP_ERROR = 1e-9


def rounding_allowed(network: object) -> float:
    """How far, relative to the largest parameter, rounding may move what nothing influences.

    Only a network that says `reordered_sums`, itself or a part of it, is allowed any.
    """
    parts = network.modules() if isinstance(network, nn.Module) else [network]
    says = any(getattr(part, "reordered_sums", False) for part in parts)
    return ROUNDING if says else 0.0


def other_values(values: Tensor, domain: Domain, generator: torch.Generator) -> Tensor:
    """Values that all differ from the given ones, of the same shape, dtype and device."""
    if isinstance(domain, Discrete):
        shift = torch.randint(1, domain.size, values.shape, generator=generator)
        return (values + shift.to(values.device)) % domain.size
    noise = torch.rand(values.shape, generator=generator, dtype=values.dtype)
    return values + 0.5 + noise.to(values.device)


def moved_up_to(site: int, before: Tensor, after: Tensor) -> Tensor:
    """How far the parameters of sites 0 to `site` moved at most, `(site + 1,)`.

    Args:
        site: the first site whose value changed.
        before: `(B, T, P)`.
        after: `(B, T, P)`.
    """
    return (after - before)[:, : site + 1].abs().amax((0, 2))


def step_differences(network: Any, sites: Tensor, expected: Tensor) -> Iterator[float]:
    """How far `step`, fed events site by site, is from the parameters of `forward`.

    Args:
        network: that can step.
        sites: `(B, T, site_dim)`.
        expected: `(B, T, P)`, what `forward` says of them.

    Yields:
        The largest difference at each site, in order.

    Raises:
        PluginError: if it returns no parameters and state, or parameters of another shape.
    """
    state, previous = network.init_state(len(sites)), None
    for t in range(sites.shape[1]):
        returned = network.step(state, previous, t)
        if not (isinstance(returned, tuple) and len(returned) == 2):
            raise PluginError(
                f"step returned a {type(returned).__name__}, expected a pair: parameters "
                "(B, P) and the state"
            )
        params, state = returned
        if params.shape != expected[:, t].shape:
            raise PluginError(
                f"step returned shape {tuple(params.shape)} at site {t}, expected "
                f"(B, P) = {tuple(expected[:, t].shape)}"
            )
        yield (params - expected[:, t]).abs().max().item()
        previous = sites[:, t]
