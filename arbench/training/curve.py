"""Validates during training and writes a line of `metrics.jsonl`."""

from __future__ import annotations

import json
import os

from arbench.files.atomic import full_disk_named
from arbench.measure.evaluation import evaluate_log_probs, nll_of
from arbench.measure.statistics.metrics import NLL
from arbench.training.checkpoints import Progress
from arbench.training.plan import Plan


def validate(plan: Plan) -> NLL:
    """The likelihood of the validation split under the weights as they are now."""
    density = plan.assembly.density
    log_probs = evaluate_log_probs(density, plan.validation)
    return nll_of(log_probs, plan.validation, density.spec.domain)


def cut_curve(plan: Plan, num_bytes: int) -> None:
    """Leave so much of the metrics, in the main process; the file is there afterwards."""
    if not plan.accelerator.is_main_process:
        return
    plan.metrics.touch()
    with open(plan.metrics, "r+b") as file:
        file.truncate(num_bytes)


def add_point(plan: Plan, progress: Progress, nll: NLL) -> None:
    """Write a line of metrics, and begin the sums of the training loss anew.

    Args:
        plan: of the training.
        progress: where it stands; it learns how long the metrics are now.
        nll: of validation.

    Raises:
        RunError: when the disk is full.
    """
    line: dict[str, float | None] = {
        "step": progress.step,
        "epoch": progress.step / plan.batches.steps_per_epoch,
    }
    if progress.loss_events:  # a network that fits itself has no loss
        line["train_nats_per_event"] = progress.loss_total / progress.loss_events
    line |= {
        "validation_nats_per_event": nll.nats_per_event,
        "validation_bits_per_dim": nll.bits_per_dim,
        "seconds": round(progress.elapsed_s, 3),
    }
    progress.loss_total, progress.loss_events = 0.0, 0
    if not plan.accelerator.is_main_process:
        return
    # A line that is cut short, a resumed training cuts off.
    with full_disk_named(plan.metrics), open(plan.metrics, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())
        progress.metrics_bytes = file.tell()
