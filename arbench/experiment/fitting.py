"""Fitting: all batches of all epochs, handed to a network that needs no gradient."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from torch import Tensor

from arbench.errors import ConfigError, Interrupted
from arbench.experiment.batches import TrainingBatches
from arbench.experiment.checkpoints import Progress
from arbench.experiment.config import Assembly, RunConfig
from arbench.experiment.evaluation import evaluate_log_probs, nll_of
from arbench.experiment.files import write_text
from arbench.experiment.folders import RunFolder
from arbench.experiment.reporting import Reporter
from arbench.experiment.signals import StopSignal
from arbench.experiment.tasks import Split


def fit(
    assembly: Assembly,
    config: RunConfig,
    batches: TrainingBatches,
    validation: Split,
    folder: RunFolder,
    reporter: Reporter,
    *,
    is_main: bool,
) -> Progress:
    """Fit the network of an assembly in place, and evaluate it on validation.

    Args:
        assembly: its network has `fit`.
        config: what it was built from; its epochs are what is handed over.
        batches: of training events.
        validation: the split.
        folder: of the run; a line about validation goes there.
        reporter: who is told of progress.
        is_main: False in all processes but one, which alone writes.

    Raises:
        ConfigError: if it is to be an ensemble, or trained for a time.
        Interrupted: after a stop signal; nothing is kept.
    """
    if len(assembly.members) > 1:
        raise ConfigError(f"{config.model} fits itself and cannot form an ensemble")
    if config.budget_s is not None:
        raise ConfigError(f"{config.model} fits itself: give --epochs, not --budget")
    layout = assembly.members[0].layout
    total = config.recipe.training.epochs * batches.steps_per_epoch
    started = time.monotonic()

    with StopSignal() as stop, reporter.bar("fitting") as advance:

        def require_no_signal() -> None:
            if stop.received:
                raise Interrupted(
                    "interrupted while fitting, of which nothing is kept; start again with "
                    f"`arbench run --resume {folder.path}`",
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
        "epoch": config.recipe.training.epochs,
        "validation_nats_per_event": nll.nats_per_event,
        "validation_bits_per_dim": nll.bits_per_dim,
        "seconds": round(elapsed, 3),
    }
    if is_main:
        write_text(folder.metrics, json.dumps(line) + "\n")
    return Progress(step=total, elapsed_s=elapsed, best_nats=nll.nats_per_event, best_step=total)
