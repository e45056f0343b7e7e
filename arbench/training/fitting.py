"""Fitting: all batches of all epochs, handed to a network that needs no gradient."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from arbench.data.tasks import Split
from arbench.errors import ConfigError, Interrupted
from arbench.files.atomic import write_text
from arbench.measure.evaluation import evaluate_log_probs, nll_of
from arbench.show.reporting import Reporter
from arbench.training.assembly import Assembly
from arbench.training.batches import TrainingBatches
from arbench.training.checkpoints import Progress
from arbench.training.signals import StopSignal


def fit(
    assembly: Assembly,
    batches: TrainingBatches,
    validation: Split,
    metrics: Path,
    reporter: Reporter,
    *,
    name: str,
    epochs: int,
    is_main: bool,
) -> Progress:
    """Fit the network of an assembly in place, and evaluate it on validation.

    Args:
        assembly: its network has `fit`.
        batches: of training events.
        validation: the split.
        metrics: `metrics.jsonl`, to which a line about validation goes.
        reporter: who is told of progress.
        name: of the model, for messages.
        epochs: how often all events are handed over.
        is_main: False in all processes but one, which alone writes.

    Raises:
        ConfigError: if it is to be an ensemble.
        Interrupted: after a stop signal; nothing is kept.
    """
    if len(assembly.members) > 1:
        raise ConfigError(f"{name} fits itself and cannot form an ensemble")
    layout = assembly.members[0].layout
    total = epochs * batches.steps_per_epoch
    started = time.monotonic()

    with StopSignal() as stop, reporter.bar("fitting") as advance:

        def require_no_signal() -> None:
            if stop.received:
                raise Interrupted(
                    "interrupted while fitting, of which nothing is kept; start again with "
                    f"`arbench resume {metrics.parent}`",
                    stop.received,
                )

        def sites() -> Iterator[tuple[Tensor, Tensor | None]]:
            for step in range(total):
                require_no_signal()
                batch = batches.batch(step)
                scored = batch.scored
                mask = None if scored is None else layout.scored_sites(scored)
                values = layout.to_sites(batch.events)
                yield values if values.is_floating_point() else values.long(), mask
                advance((step + 1) / total, "counting")

        assembly.network.fit(sites())  # type: ignore[operator]
        require_no_signal()  # nor one since the last batch
    elapsed = time.monotonic() - started
    log_probs = evaluate_log_probs(assembly.density, validation)
    nll = nll_of(log_probs, validation, assembly.density.spec.domain)
    line = {
        "step": total,
        "epoch": epochs,
        "validation_nats_per_event": nll.nats_per_event,
        "validation_bits_per_dim": nll.bits_per_dim,
        "seconds": round(elapsed, 3),
    }
    if is_main:
        write_text(metrics, json.dumps(line) + "\n")
    return Progress(step=total, elapsed_s=elapsed, best_nats=nll.nats_per_event, best_step=total)
