"""Trains networks that have their own `fit` and need no gradient."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from arbench.errors import Interrupted
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.show.reporting import Advance
from arbench.training.checkpoints import Progress
from arbench.training.signals import listening_for_stop
from arbench.training.trainer import Trainer


def fit(trainer: Trainer) -> Progress:
    """Fit the network of every member of a trainer in place, and evaluate them on validation.

    Args:
        trainer: its networks have `fit` and weights of their own, and it has no budget.

    Raises:
        Interrupted: after a stop signal; nothing is kept.
    """
    progress = trainer.progress = Progress(step=trainer.num_steps)
    if trainer.accelerator.is_main_process:
        trainer.metrics.write_bytes(b"")  # it begins anew, also when it is resumed
    started = time.monotonic()
    with listening_for_stop() as heard, trainer.reporter.bar("fitting") as advance:
        for number, member in enumerate(trainer.members):
            assert isinstance(member, Model)  # a flow is trained by gradients
            _fit_member(trainer, member, heard, _part(advance, number, len(trainer.members)))
        _require_no_signal(trainer, heard)  # nor one since the last batch
    progress.elapsed_s = time.monotonic() - started
    trainer.evaluate(1.0)
    return progress


def _fit_member(trainer: Trainer, member: Model, heard: list[int], advance: Advance) -> None:
    """Fit one member; where its `fit` says how far it is, reading the batches is not counted."""
    fit: Any = member.network.fit
    tells = inspect.isgeneratorfunction(fit)
    done = fit(_sites(trainer, member.layout, heard, (lambda *_: None) if tells else advance))
    for share in done or ():
        _require_no_signal(trainer, heard)
        advance(share, "fitting")


def _sites(
    trainer: Trainer, layout: Layout, heard: list[int], advance: Advance
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Every batch as sites `(B, T, site_dim)`, and which of them count, `(B, T)` or None."""
    total = trainer.num_steps
    for step in range(total):
        _require_no_signal(trainer, heard)
        batch = trainer.batches.batch(step)
        scored = batch.scored
        mask = None if scored is None else layout.scored_sites(scored)
        values = layout.to_sites(batch.events)
        yield values if values.is_floating_point() else values.long(), mask
        advance((step + 1) / total, "counting")


def _part(advance: Advance, number: int, total: int) -> Advance:
    """Tells of one of several parts of the work."""
    return lambda share, note: advance((number + share) / total, note)


def _require_no_signal(trainer: Trainer, heard: list[int]) -> None:
    if heard:
        raise Interrupted(
            "interrupted while fitting, which keeps no partial result; start again with "
            f"`arbench resume {trainer.metrics.parent}`",
            heard[0],
        )
