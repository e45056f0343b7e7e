"""Everything that a training needs, in one object, and the curve that it leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from torch import nn

from arbench.data.tasks import Split
from arbench.files.atomic import full_disk_named
from arbench.measure.likelihood import evaluate_log_probs, nll_of
from arbench.measure.statistics.metrics import NLL
from arbench.probability.density import Density
from arbench.probability.model import Model
from arbench.show.reporting import Reporter
from arbench.training.batches import TrainingBatches
from arbench.training.checkpoints import CheckpointStore, Progress
from arbench.training.recipes import TrainingRecipe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained, on what, for how long, and where the training leaves its files.

    Attributes:
        network: holds every weight, on the accelerator's device.
        members: the models that share it, of which each step trains one.
        density: that of them all, which is validated.
        batches: the training batches.
        validation: chooses the best weights; the test split is never seen here.
        recipe: optimiser and schedule.
        num_steps: how long the training is, but for one with a budget.
        budget_s: its wall-clock seconds; None for a number of steps.
        seed: keys dropout.
        compile_loss: compile the loss with `torch.compile`.
        accelerator: device, precision and processes.
        store: where checkpoints go.
        metrics: `metrics.jsonl`, one line per evaluation.
        reporter: who watches.
    """

    network: nn.Module
    members: Sequence[Model]
    density: Density
    batches: TrainingBatches
    validation: Split
    recipe: TrainingRecipe
    num_steps: int
    budget_s: float | None
    seed: int
    compile_loss: bool
    accelerator: Accelerator
    store: CheckpointStore
    metrics: Path
    reporter: Reporter

    def fraction(self, steps_done: int, elapsed_s: float) -> float:
        """How much of the training is done, in [0, 1]."""
        if self.budget_s is not None:
            return min(1.0, elapsed_s / self.budget_s)
        return min(1.0, steps_done / self.num_steps)

    def validate(self) -> NLL:
        """The likelihood of the validation split under the weights as they are now."""
        log_probs = evaluate_log_probs(self.density, self.validation)
        return nll_of(log_probs, self.validation, self.density.spec.domain)

    def cut_curve(self, num_bytes: int) -> None:
        """Leave so much of the metrics, in the main process; the file is there afterwards."""
        if not self.accelerator.is_main_process:
            return
        self.metrics.touch()
        with open(self.metrics, "r+b") as file:
            file.truncate(num_bytes)

    def add_point(self, progress: Progress, nll: NLL) -> None:
        """Write a line of metrics, and begin the sums of the training loss anew.

        Args:
            progress: where it stands; it learns how long the metrics are now.
            nll: of validation.

        Raises:
            RunError: when the disk is full.
        """
        line: dict[str, float | None] = {
            "step": progress.step,
            "epoch": progress.step / self.batches.steps_per_epoch,
        }
        if progress.loss_events:  # a network that fits itself has no loss
            line["train_nats_per_event"] = progress.loss_total / progress.loss_events
        line |= {
            "validation_nats_per_event": nll.nats_per_event,
            "validation_bits_per_dim": nll.bits_per_dim,
            "seconds": round(progress.elapsed_s, 3),
        }
        progress.loss_total, progress.loss_events = 0.0, 0
        if not self.accelerator.is_main_process:
            return
        # A line that is cut short, a resumed training cuts off.
        with full_disk_named(self.metrics), open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
            progress.metrics_bytes = file.tell()
