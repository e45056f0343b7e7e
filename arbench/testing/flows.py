"""Checks of flows: `log_det`, inverse, blocks, normalisation, samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from scipy import stats

from arbench.errors import PluginError
from arbench.probability.events import EventSpec, Real
from arbench.probability.flows.flow import Flow, require_real_events
from arbench.probability.flows.inversion import (
    INVERSE_ERROR,
    LOG_DET_ERROR,
    block_errors,
    inverse_error,
    log_det_error,
)
from arbench.testing.devices import check_devices
from arbench.testing.invariances import check_invariances
from arbench.testing.learning import check_gradients, check_memorises_one_event
from arbench.testing.subject import ConformanceError, NotApplicableError, TinySubject
from arbench.testing.tiny import TINY_EVENTS, TinyEvents

_NUM_EVENTS = 16
# Of the quadrature: points along each axis, how far beyond the samples, and what it may miss.
_NUM_POINTS, _MARGIN, _MISSED = 301, 1.0, 1e-4

FLOW_EVENTS = {
    "real-2": TinyEvents(EventSpec((2,), Real())),
    **{name: tiny for name, tiny in TINY_EVENTS.items() if isinstance(tiny.spec.domain, Real)},
}
"""The tiny events that flows are checked on."""


@dataclass(frozen=True, eq=False)
class FlowSubject(TinySubject[Flow]):
    """One class of flows on tiny events of one kind, in float64."""

    def make(self, hyperparameters: Mapping[str, Any]) -> Flow:
        """A flow with those keyword arguments."""
        require_real_events(self.spec)  # before the network refuses it in words of its own
        return Flow(self.network_class(self.spec, **hyperparameters), self.spec)


def check_log_det(subject: FlowSubject) -> None:
    """`log_det` is the logarithm of the Jacobian's determinant, by automatic derivatives.

    Raises:
        ConformanceError: with the difference.
    """
    value = log_det_error(subject.sharpened(), subject.random_events(_NUM_EVENTS, seed=20))
    if not value <= LOG_DET_ERROR:
        raise ConformanceError(
            f"log_det differs from that of the Jacobian by {value:.2g} nats per dim: is a factor "
            "left out, or its sign turned?"
        )


def check_inverse(subject: FlowSubject) -> None:
    """Latents lead back to their events, and drawn latents to themselves, by every inverse.

    Raises:
        ConformanceError: with the difference.
    """
    generator = torch.Generator().manual_seed(21)
    latents = torch.randn(
        _NUM_EVENTS, subject.spec.num_dims, generator=generator, dtype=torch.float64
    )
    flow, events = subject.sharpened(), subject.random_events(_NUM_EVENTS, seed=22)
    value = inverse_error(flow, events, latents)
    if not value <= INVERSE_ERROR:
        raise ConformanceError(f"an event comes back from its latents {value:.2g} off")


def check_blocks(subject: FlowSubject) -> str:
    """Each block is inverted by its own inverse, and states its own `log_det`.

    So every run of the first blocks is a flow, too.

    Raises:
        ConformanceError: with the block that does not, and by how much.
    """
    flow = subject.sharpened()
    if not hasattr(flow.network, "blocks"):
        return "the network names no blocks"
    try:
        errors = block_errors(flow, subject.random_events(_NUM_EVENTS, seed=23))
    except PluginError as error:
        raise ConformanceError(str(error)) from error
    for number, (inverse, log_det) in enumerate(errors):
        if not inverse <= INVERSE_ERROR:
            raise ConformanceError(f"block {number}: its inverse is {inverse:.2g} off")
        if not log_det <= LOG_DET_ERROR:
            raise ConformanceError(f"block {number}: log_det is {log_det:.2g} nats per dim off")
    return ""


def check_flow_normalisation(subject: FlowSubject) -> None:
    """The density of events of two dims integrates to 1 within 1e-4, on a grid around its samples.

    Raises:
        ConformanceError: with the integral.
        NotApplicableError: if events have other than two dims.
    """
    if subject.spec.num_dims != 2:
        raise NotApplicableError("only events of two dims are integrated over")
    flow = subject.sharpened()
    samples = flow.sample(1000, generator=torch.Generator().manual_seed(24)).flatten(1)
    low, high = samples.min(0).values, samples.max(0).values
    margin = _MARGIN * (high - low)
    axes = [
        torch.linspace(a, b, _NUM_POINTS, dtype=torch.float64)
        for a, b in zip((low - margin).tolist(), (high + margin).tolist(), strict=True)
    ]
    grid = torch.cartesian_prod(*axes).view(-1, *subject.spec.shape)
    with torch.no_grad():
        density = torch.cat([flow.log_prob(part) for part in torch.split(grid, 1 << 14)]).exp()
    total = torch.trapezoid(
        torch.trapezoid(density.view(_NUM_POINTS, _NUM_POINTS), axes[1]), axes[0]
    ).item()
    if not abs(total - 1) <= _MISSED:
        raise ConformanceError(f"the density of two dims integrates to {total:.6g}, not to 1")


def check_samples(subject: FlowSubject) -> None:
    """Samples are the events whose latents are the normal quantiles of the noise, by every sampler.

    Raises:
        ConformanceError: with the sampler and the difference.
    """
    flow = subject.sharpened()
    noise = flow.draw_noise(_NUM_EVENTS, torch.Generator().manual_seed(25))
    quantiles = torch.from_numpy(stats.norm.ppf(noise.numpy())).squeeze(-1)
    scale = max(1.0, quantiles.abs().max().item())
    for method in flow.samplers:
        samples = flow.sample(_NUM_EVENTS, noise=noise, method=method)
        with torch.no_grad():
            difference = (flow.latents(samples)[0] - quantiles).abs().max().item() / scale
        if not difference <= INVERSE_ERROR:
            raise ConformanceError(
                f"samples by {method} have latents {difference:.2g} off their noise's quantiles"
            )


FLOW_CHECKS: dict[str, Callable[[FlowSubject], object]] = {
    "log_det": check_log_det,
    "inverse": check_inverse,
    "blocks": check_blocks,
    "normalisation": check_flow_normalisation,
    "samples": check_samples,
    "memorises_one_event": check_memorises_one_event,
    "gradients": check_gradients,
    "invariances": check_invariances,
    "devices": check_devices,
}


def flow_subjects(
    network_class: Callable[..., Any],
    *,
    specs: Mapping[str, EventSpec | TinyEvents] = FLOW_EVENTS,
    hyperparameters: Mapping[str, Any] | None = None,
) -> dict[str, FlowSubject]:
    """All tiny events of real numbers by name; see `conformance.subjects`."""
    return {
        name: FlowSubject(
            network_class,
            TinyEvents(given) if isinstance(given, EventSpec) else given,
            hyperparameters=hyperparameters or {},
        )
        for name, given in specs.items()
    }
