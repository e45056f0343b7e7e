"""Training checkpoints: the whole state of a training in two files, switched over at once.

The tensors go to a new file, named by their step; `state.json`, which names that file and holds its
sha256, is then renamed into place. Until that rename the previous checkpoint is the valid one.
Randomness needs no place here: every draw of a training is keyed by (seed, epoch) or (seed, step).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor

from arbench.errors import CheckpointError
from arbench.experiment.files import write_text
from arbench.experiment.recipes import describe_validation
from arbench.experiment.weights import load_tensors, save_tensors

_FORMAT = 1
_Count = Annotated[int, Field(ge=0)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        step: optimiser steps done.
        elapsed_s: training seconds spent, over all sittings.
        evaluations: how many evaluations are done.
        best_nats: best validation nats per event so far, None before the first evaluation.
        best_step: the step it was reached at.
        loss_total: sum of nats since the last evaluation.
        loss_events: events in that sum.
        metrics_bytes: length of `metrics.jsonl` that belongs to this state.
    """

    step: _Count = 0
    elapsed_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    evaluations: _Count = 0
    best_nats: _Finite | None = None
    best_step: _Count = 0
    loss_total: _Finite = 0.0
    loss_events: _Count = 0
    metrics_bytes: _Count = 0


class CheckpointStore:
    """The `checkpoint/` folder of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Make this state the current checkpoint.

        Raises:
            RunError: when the disk is full; the previous checkpoint stays valid.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # One of the same step may be there, and be the one that counts.
        name, number = f"step-{progress.step}.safetensors", 2
        while (self.folder / name).exists():
            name, number = f"step-{progress.step}-{number}.safetensors", number + 1
        digest = save_tensors(self.folder / name, tensors)
        state = {"format": _FORMAT, "tensors": name, "sha256": digest, "progress": asdict(progress)}
        write_text(self.folder / "state.json", json.dumps(state, indent=1) + "\n")
        for old in self.folder.glob("step-*.safetensors"):
            if old.name != name:
                old.unlink()

    def load(self) -> tuple[Progress, dict[str, Tensor]] | None:
        """The current checkpoint, or None when there is none yet.

        Raises:
            CheckpointError: if it is damaged.
        """
        path = self.folder / "state.json"
        if not path.exists():
            return None
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            if state["format"] != _FORMAT:
                raise CheckpointError(
                    f"{path}: format {state['format']}, this arbench reads {_FORMAT}; upgrade "
                    "arbench, or train anew"
                )
            given = Progress(**state["progress"])  # which refuses unknown keys
            progress = TypeAdapter(Progress).validate_python(asdict(given))
            name, digest = str(state["tensors"]), str(state["sha256"])
        except ValidationError as error:
            raise CheckpointError(f"{path}: {describe_validation(error)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: not a checkpoint: {error!r}") from error
        if Path(name).name != name:
            raise CheckpointError(f"{path}: names a file outside its folder: {name!r}")
        return progress, load_tensors(self.folder / name, sha256=digest)

    def clear(self) -> None:
        """Remove the checkpoint; a finished run needs none."""
        if not self.folder.exists():
            return
        (self.folder / "state.json").unlink(missing_ok=True)
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()
