"""Trains a network that has its own `fit` and needs no gradient."""

from __future__ import annotations

import time
from collections.abc import Iterator

from torch import Tensor

from arbench.errors import Interrupted
from arbench.show.reporting import Advance
from arbench.training.checkpoints import Progress
from arbench.training.plan import Plan
from arbench.training.signals import StopSignal, listening_for_stop


def fit(plan: Plan) -> Progress:
    """Fit the one network of a plan in place, and evaluate it on validation.

    Args:
        plan: its network has `fit`, and it has no budget.

    Raises:
        Interrupted: after a stop signal; nothing is kept.
    """
    plan.cut_curve(0)
    progress = Progress(step=plan.num_steps)
    started = time.monotonic()
    with listening_for_stop() as stop, plan.reporter.bar("fitting") as advance:
        plan.network.fit(_sites(plan, stop, advance))  # type: ignore[operator]
        _require_no_signal(plan, stop)  # nor one since the last batch
    progress.elapsed_s = time.monotonic() - started
    nll = plan.validate()
    progress.best_nats, progress.best_step = nll.nats_per_event, progress.step
    plan.add_point(progress, nll)
    return progress


def _sites(
    plan: Plan, stop: StopSignal, advance: Advance
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Every batch as sites `(B, T, site_dim)`, and which of them count, `(B, T)` or None."""
    layout, total = plan.members[0].layout, plan.num_steps
    for step in range(total):
        _require_no_signal(plan, stop)
        batch = plan.batches.batch(step)
        scored = batch.scored
        mask = None if scored is None else layout.scored_sites(scored)
        values = layout.to_sites(batch.events)
        yield values if values.is_floating_point() else values.long(), mask
        advance((step + 1) / total, "counting")


def _require_no_signal(plan: Plan, stop: StopSignal) -> None:
    if stop.received:
        raise Interrupted(
            "interrupted while fitting, which keeps no partial result; start again with "
            f"`arbench resume {plan.metrics.parent}`",
            stop.received,
        )
