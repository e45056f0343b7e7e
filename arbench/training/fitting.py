"""Trains a network that has its own `fit` and needs no gradient."""

from __future__ import annotations

import time
from collections.abc import Iterator

from torch import Tensor

from arbench.errors import Interrupted
from arbench.probability.model import Model
from arbench.show.reporting import Advance
from arbench.training.checkpoints import Progress
from arbench.training.signals import listening_for_stop
from arbench.training.trainer import Trainer


def fit(trainer: Trainer) -> Progress:
    """Fit the one network of a trainer in place, and evaluate it on validation.

    Args:
        trainer: its network has `fit`, and it has no budget.

    Raises:
        Interrupted: after a stop signal; nothing is kept.
    """
    progress = trainer.progress = Progress(step=trainer.num_steps)
    if trainer.accelerator.is_main_process:
        trainer.metrics.write_bytes(b"")  # it begins anew, also when it is resumed
    started = time.monotonic()
    with listening_for_stop() as heard, trainer.reporter.bar("fitting") as advance:
        trainer.network.fit(_sites(trainer, heard, advance))  # type: ignore[operator]
        _require_no_signal(trainer, heard)  # nor one since the last batch
    progress.elapsed_s = time.monotonic() - started
    trainer.evaluate(1.0)
    return progress


def _sites(
    trainer: Trainer, heard: list[int], advance: Advance
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Every batch as sites `(B, T, site_dim)`, and which of them count, `(B, T)` or None."""
    member, total = trainer.members[0], trainer.num_steps
    assert isinstance(member, Model)  # a flow is trained by gradients
    layout = member.layout
    for step in range(total):
        _require_no_signal(trainer, heard)
        batch = trainer.batches.batch(step)
        scored = batch.scored
        mask = None if scored is None else layout.scored_sites(scored)
        values = layout.to_sites(batch.events)
        yield values if values.is_floating_point() else values.long(), mask
        advance((step + 1) / total, "counting")


def _require_no_signal(trainer: Trainer, heard: list[int]) -> None:
    if heard:
        raise Interrupted(
            "interrupted while fitting, which keeps no partial result; start again with "
            f"`arbench resume {trainer.metrics.parent}`",
            heard[0],
        )
