"""Compiles the loss of a training where a few steps say that it pays."""

from __future__ import annotations

import math
import statistics
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from arbench.measure.speed import timed_calls
from arbench.probability.randomness import derive_seed, seeded

if TYPE_CHECKING:
    from arbench.training.trainer import Trainer

_WARMUP, _STEPS = 2, 5  # the first step compiles


def compile_if_faster(trainer: Trainer) -> None:
    """Compile the trainer's loss if a step then takes less time, and say what it takes.

    That is found out once per training, at its beginning: sums in another order have other last
    bits. A training that is resumed goes on as it began, and one that was begun by an older arbench
    goes on compiled.

    Args:
        trainer: has a loss, and has taken up its checkpoint.
    """
    progress = trainer.progress
    plain = trainer.objective
    compiled: nn.Module = torch.compile(plain)  # type: ignore[assignment]
    if progress.step == 0 and not progress.trial_s:
        seconds = trainer.of_main(*_seconds_of_a_step(trainer, compiled, plain))
        progress.trial_s = {"compiled": seconds[0], "plain": seconds[1]}
        trainer.reporter.say(
            f"compile a step takes {seconds[0] * 1e3:.3g} ms compiled and "
            f"{seconds[1] * 1e3:.3g} as it is: {'' if progress.compiles else 'not '}compiled"
        )
    if progress.compiles:
        trainer.objective = compiled


def _seconds_of_a_step(trainer: Trainer, compiled: nn.Module, plain: nn.Module) -> list[float]:
    """Median seconds of forward and backward, compiled and not; they leave nothing behind."""
    network, device = trainer.network, trainer.accelerator.device
    batch = trainer.batches.batch(0)
    kept = {name: value.clone() for name, value in plain.named_buffers()}

    def step(objective: nn.Module) -> None:
        network.zero_grad()
        nats = objective.train()(batch.events, batch.scored, batch.weights, 0)
        trainer.accelerator.backward(nats / batch.num_dims)

    calls = [
        timed_calls(
            partial(step, way), device=device, warmup=_WARMUP, repeats=_STEPS, cap_s=math.inf
        )
        for way in (compiled, plain)
    ]
    with seeded(derive_seed(trainer.seed, "trial"), device):
        rounds = [*zip(*calls, strict=True)]  # in turns, as a machine may be busy for a while
    network.zero_grad()
    with torch.no_grad():
        for name, value in plain.named_buffers():
            value.copy_(kept[name])
    return [statistics.median(filter(None, times)) for times in zip(*rounds, strict=True)]
