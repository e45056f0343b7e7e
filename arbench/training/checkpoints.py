"""Saved training state: written, checked, resumed.

The tensors go to a new file, named by their step; `state.json`, which names that file and holds its
sha256, is then renamed into place. Until that rename the previous checkpoint is the valid one.
Randomness needs no place here: every draw of a training is keyed by (seed, epoch) or (seed, step).

The state holds the hash of everything that a training goes on from: of the tensors, of the run's
configuration, of the metrics so far, and of itself. What format 1 wrote holds that of the tensors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor

from arbench.errors import CheckpointError
from arbench.files.atomic import sha256_of, write_text
from arbench.files.canonical import canonical_sha256
from arbench.files.documents import describe_validation
from arbench.files.strict_json import read_json
from arbench.files.tensors import load_tensors, save_tensors
from arbench.measure.allocator import out_of_memory_says

_FORMAT = 2
# What a checkpoint belongs to lies beside its folder.
CONFIG, METRICS = "config.json", "metrics.jsonl"
_STATE = "state.json"
_KEYS_OF_FORMAT_1 = {"format", "tensors", "sha256", "progress"}
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
        evaluations_since_best: how many evaluations in a row were no better.
        loss_total: sum of nats since the last evaluation.
        loss_events: events in that sum.
        metrics_bytes: length of `metrics.jsonl` that belongs to this state.
        kernel: how the network computes; None where it has one way alone. See `KernelNetwork`.
        trial_s: median seconds of a step "compiled" and "plain", if both were tried.
    """

    step: _Count = 0
    elapsed_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    evaluations: _Count = 0
    best_nats: _Finite | None = None
    best_step: _Count = 0
    evaluations_since_best: _Count = 0
    loss_total: _Finite = 0.0
    loss_events: _Count = 0
    metrics_bytes: _Count = 0
    kernel: str | None = None
    trial_s: dict[Literal["compiled", "plain"], _Finite] = field(default_factory=dict)

    @property
    def compiles(self) -> bool:
        """Whether the loss is compiled, where that was asked for; an older arbench always did."""
        return self.trial_s.get("compiled", 0.0) <= self.trial_s.get("plain", 0.0)


@dataclass(frozen=True)
class CheckpointStore:
    """The `checkpoint/` folder of a run; it belongs to the configuration that lies beside it."""

    folder: Path

    def save(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Make this state the current checkpoint.

        Raises:
            RunError: when the disk is full, or there is no memory; the previous checkpoint stays
                valid.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # One of the same step may be there, and be the one that counts.
        name, number = f"step-{progress.step}.safetensors", 2
        while (self.folder / name).exists():
            name, number = f"step-{progress.step}-{number}.safetensors", number + 1
        says = (
            "the checkpoint could not be written, and the one before it is intact; free some "
            f"memory and continue with `arbench resume {self.folder.parent}`"
        )
        surroundings = self._surroundings(progress.metrics_bytes)
        with out_of_memory_says(says):
            digest = save_tensors(self.folder / name, tensors)
            state = {
                "format": _FORMAT,
                "tensors": name,
                "sha256": digest,
                **surroundings,
                "progress": asdict(progress),
            }
            state["state_sha256"] = canonical_sha256(state)
            write_text(self.folder / _STATE, json.dumps(state, indent=1) + "\n")
        for old in self.folder.glob("step-*.safetensors"):
            if old.name != name:
                old.unlink()

    def load(self) -> tuple[Progress, dict[str, Tensor], list[str]] | None:
        """The current checkpoint, or None when there is none yet.

        Returns:
            Where the training stands; its tensors, which are weights, averages and the optimiser's
            moments; warnings for the user who continues from there, a line each.

        Raises:
            CheckpointError: if it is damaged, was changed, or belongs to another run.
        """
        path = self.folder / _STATE
        if not path.exists():
            return None
        state = read_json(path, CheckpointError, "no checkpoint there")
        try:
            version = state["format"]
            if version not in (1, _FORMAT):
                raise CheckpointError(
                    f"{path}: format {version}, this arbench reads {_FORMAT}; upgrade arbench, or "
                    "train anew"
                )
            given = Progress(**state["progress"])  # which refuses unknown keys
            progress = TypeAdapter(Progress).validate_python(asdict(given))
            name, digest = str(state["tensors"]), str(state["sha256"])
            cautions = self._cautions(state, progress.metrics_bytes)
        except ValidationError as error:
            raise CheckpointError(f"{path}: {describe_validation(error)}") from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path}: not a checkpoint: {error!r}") from error
        if not re.fullmatch(r"step-[0-9]+(-[0-9]+)?\.safetensors", name):
            raise CheckpointError(
                f"{path}: names a file that is no checkpoint, or outside its folder: {name!r}"
            )
        return progress, load_tensors(self.folder / name, sha256=digest), cautions

    def _cautions(self, state: dict[str, Any], metrics_bytes: int) -> list[str]:
        """What to say of a state that may be believed.

        Raises:
            CheckpointError: if it may not; the line says why.
        """
        path = self.folder / _STATE
        if state["format"] == 1:
            if unknown := sorted(state.keys() - _KEYS_OF_FORMAT_1):
                raise CheckpointError(f"{path}: format 1 has no {unknown[0]}")
            self._surroundings(metrics_bytes)
            return [
                "the checkpoint is of an older arbench, which did not bind it: what it says of its "
                "progress is believed as it stands"
            ]
        rest = {key: value for key, value in state.items() if key != "state_sha256"}
        if state["state_sha256"] != canonical_sha256(rest):
            raise CheckpointError(
                f"{path}: does not fit the sha256 that it carries, so it was edited or "
                "damaged; put back the file that the run wrote, or train anew"
            )
        found = self._surroundings(metrics_bytes)
        for key, name in (("config_sha256", CONFIG), ("metrics_sha256", METRICS)):
            if state[key] != found[key]:
                raise CheckpointError(
                    f"{self.folder.parent / name}: is not the file that the checkpoint in "
                    f"{self.folder} was written with (its sha256 differs); put back the file that "
                    "the run wrote, or train anew"
                )
        return [
            f"the checkpoint was written with {_named(key, before)}, and goes on with "
            f"{_named(key, now)}: equal bytes are not promised"
            for key, now in found["environment"].items()
            if (before := state["environment"][key]) != now
        ]

    def _surroundings(self, metrics_bytes: int) -> dict[str, Any]:
        """What the next steps depend on, beside the state and the machine, as a state holds it.

        These are hashes of the run's configuration, if it is there, and of its metrics so far;
        threads and version of torch.

        Raises:
            CheckpointError: if there are fewer metrics than that.
        """
        config, metrics = self.folder.parent / CONFIG, self.folder.parent / METRICS
        lines = metrics.read_bytes() if metrics_bytes else b""
        if len(lines) < metrics_bytes:
            raise CheckpointError(
                f"{metrics}: has {len(lines):,} bytes, the checkpoint was written with "
                f"{metrics_bytes:,}; put back the file that the run wrote, or train anew"
            )
        return {
            "config_sha256": sha256_of(config) if config.exists() else None,
            "metrics_sha256": hashlib.sha256(lines[:metrics_bytes]).hexdigest(),
            "environment": {"threads": torch.get_num_threads(), "torch": str(torch.__version__)},
        }


def _named(key: str, value: object) -> str:
    return f"torch {value}" if key == "torch" else f"{value} {key if value != 1 else 'thread'}"
