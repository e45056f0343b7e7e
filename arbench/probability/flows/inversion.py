"""Measures what a flow promises: that it can be inverted, and that its `log_det` is right.

The conformance checks ask about tiny events, and every run at its end about its own (see
`arbench.runs.trained_checks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from arbench.errors import PluginError
from arbench.probability.flows.flow import INVERSES, Flow

# Of float64, relative to the largest number: there and back again, each patch after the others.
INVERSE_ERROR = 1e-8
# Of float64, relative to the number of dims, whose logarithms are added up.
LOG_DET_ERROR = 1e-8
_MOST_SQUARE = 1 << 10  # dims of an event whose Jacobian is small enough to be made


def flow_findings(
    flow: Flow, events: Tensor, generator: torch.Generator
) -> Iterator[tuple[str, tuple[float, float, str, str]]]:
    """What the checks of a trained flow find at its own size.

    Together they say, in float64, that samples follow `log_prob`: a sample is the only event that
    has the latents which were drawn, and the volumes are right. Events of more than 1,024 dims have
    Jacobians too large to look at; of those only the inverse is checked.

    Args:
        flow: in float64 and evaluation mode.
        events: `(B, *event_shape)` of its task.
        generator: on the CPU, of latents to invert.

    Yields:
        The name of a check, and of it: what it measured, what that may be at most, what was looked
        at, and the evidence against the flow, which is empty if the check passes.
    """
    events = events.to(device=flow.device, dtype=flow.dtype)
    shape = (len(events), flow.spec.num_dims)
    latents = torch.randn(shape, generator=generator, dtype=flow.dtype).to(flow.device)
    value = inverse_error(flow, events, latents)
    fault = f"what comes back from an inverse is {value:.2g} off" if value > INVERSE_ERROR else ""
    about = f"events: {len(events)}, samples: {len(events)}, by {' and '.join(flow.samplers)}"
    yield "inverse", (value, INVERSE_ERROR, about, fault)
    if flow.spec.num_dims > _MOST_SQUARE:
        return
    value = log_det_error(flow, events[:1])
    fault = (
        f"log_det is {value:.2g} nats per dim off the Jacobian's" if value > LOG_DET_ERROR else ""
    )
    about = f"1 event, {shape[1]:,} x {shape[1]:,} derivatives"
    yield "log_det", (value, LOG_DET_ERROR, about, fault)


def inverse_error(flow: Flow, events: Tensor, latents: Tensor) -> float:
    """How far events are from their latents' inverse, and latents from those of their events.

    Every way to invert is looked at.

    Args:
        flow: in float64 and evaluation mode.
        events: `(B, *event_shape)`.
        latents: `(B, D)`, standard normal.

    Returns:
        The largest difference, relative to the largest number.
    """
    with torch.no_grad():
        forth, worst = flow.latents(events)[0], 0.0
        for method in flow.samplers:
            inverse = getattr(flow.network, INVERSES[method])
            worst = max(worst, _difference(events, inverse(forth)))
            worst = max(worst, _difference(latents, flow.latents(inverse(latents))[0]))
    return worst


def log_det_error(flow: Flow, events: Tensor) -> float:
    """How far `log_det` is from the logarithm of the Jacobian's determinant, per dim.

    Args:
        flow: in float64 and evaluation mode.
        events: `(B, *event_shape)`; the cost is that of D backward passes.

    Returns:
        The largest difference in nats, over D.
    """
    with torch.no_grad():
        stated = flow.latents(events)[1]
    exact = log_abs_det(lambda values: flow.latents(values)[0], events)
    return _largest(stated - exact) / flow.spec.num_dims


def log_abs_det(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Logarithm of the absolute determinant of a Jacobian, row by row from automatic derivatives.

    Args:
        function: maps `(B, *shape)` to as many numbers, each row by itself.
        inputs: where.

    Returns:
        `(B,)` nats.
    """
    with torch.enable_grad():
        given = inputs.detach().clone().requires_grad_()
        made = function(given).flatten(1)
        rows = [
            torch.autograd.grad(column.sum(), given, retain_graph=True)[0].flatten(1)
            for column in made.unbind(1)
        ]
    logarithm: Tensor = torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet
    return logarithm


def block_errors(flow: Flow, events: Tensor) -> list[tuple[float, float]]:
    """How far each block of a flow is from its own inverse, and its `log_det` from its Jacobian.

    Each is asked about what the blocks before it make of events.

    Args:
        flow: in float64 and evaluation mode; its network has `blocks`.
        events: `(B, *event_shape)`.

    Returns:
        For every block the two errors, as of `inverse_error` and `log_det_error`.

    Raises:
        PluginError: if it goes through its blocks otherwise than once each, in order.
    """
    blocks: list[nn.Module] = list(flow.network.blocks)
    visited: list[tuple[int, Tensor, Tensor, Tensor]] = []

    def note(number: int, inputs: Tensor, outputs: tuple[Tensor, Tensor]) -> None:
        visited.append((number, inputs.detach(), outputs[0].detach(), outputs[1].detach()))

    handles = [
        block.register_forward_hook(lambda _, given, made, n=n: note(n, given[0], made))
        for n, block in enumerate(blocks)
    ]
    try:
        with torch.no_grad():
            flow.latents(events)
    finally:
        for handle in handles:
            handle.remove()
    if [number for number, *_ in visited] != [*range(len(blocks))]:
        raise PluginError(
            f"forward goes through the blocks {[number for number, *_ in visited]}, expected each "
            f"of the {len(blocks)} once and in order"
        )
    found = []
    for number, given, made, stated in visited:
        block = blocks[number]
        with torch.no_grad():
            back = block.inverse(made)  # type: ignore[operator]
        exact = log_abs_det(lambda values, block=block: block(values)[0], given)  # type: ignore[misc]
        found.append((_difference(given, back), _largest(stated - exact) / given[0].numel()))
    return found


def _difference(expected: Tensor, found: Tensor) -> float:
    return _largest(expected - found) / max(1.0, expected.abs().max().item())


def _largest(differences: Tensor) -> float:
    """The largest size; infinite if one is no number."""
    return differences.abs().nan_to_num(nan=torch.inf).max().item()
