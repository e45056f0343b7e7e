"""Everything that a training needs, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from arbench.data.tasks import Split
from arbench.show.reporting import Reporter
from arbench.training.assembly import Assembly
from arbench.training.batches import TrainingBatches
from arbench.training.checkpoints import CheckpointStore
from arbench.training.recipes import TrainingRecipe
from arbench.training.schedule import Length


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained, on what, for how long, and where the training leaves its files.

    Attributes:
        assembly: the density to train, on the accelerator's device.
        batches: the training batches.
        validation: chooses the best weights; the test split is never seen here.
        recipe: optimiser and schedule.
        length: steps or wall-clock budget.
        seed: keys dropout.
        compile_loss: compile the loss with `torch.compile`.
        accelerator: device, precision and processes.
        store: where checkpoints go.
        metrics: `metrics.jsonl`, one line per evaluation.
        reporter: who watches.
    """

    assembly: Assembly
    batches: TrainingBatches
    validation: Split
    recipe: TrainingRecipe
    length: Length
    seed: int
    compile_loss: bool
    accelerator: Accelerator
    store: CheckpointStore
    metrics: Path
    reporter: Reporter
