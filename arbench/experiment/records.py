"""The record: the JSON that a run leaves, validated when written and when read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from arbench.errors import DataError
from arbench.experiment.documents import read_document
from arbench.experiment.files import write_text
from arbench.experiment.units import bits_text, nats_text
from arbench.probability.density import Kind
from arbench.probability.metrics import NLL

SCHEMA_VERSION: Literal[1] = 1
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskRecord(_Part):
    """On what data."""

    name: str
    version: str
    data_sha256: Sha256
    num_dims: int
    unit: str
    pinned: bool = True
    source: str = ""


class ModelRecord(_Part):
    """Which model."""

    name: str
    plugin: str
    plugin_version: str
    hyperparameters: dict[str, Any]
    head: str
    head_options: dict[str, Any] = {}
    layout: str
    num_members: int = 1
    num_parameters: int


class TrainingRecord(_Part):
    """How it was trained."""

    recipe: str
    settings: dict[str, Any]
    seed: int
    steps: int
    epochs: Finite
    seconds: Finite
    budget_s: Finite | None = None
    limit: int | None = None
    best_step: int
    device: str
    precision: str
    compiled: bool
    processes: int = 1
    status: Literal["finished", "interrupted", "diverged"]


class SplitRecord(_Part):
    """The likelihood of one split, totals first."""

    total_nats: Finite
    num_events: int
    num_dims: int
    nats_per_event: Finite
    bits_per_dim: Finite | None
    standard_error_nats: Finite
    standard_error_bits_per_dim: Finite
    kind: Kind

    @classmethod
    def from_nll(cls, nll: NLL, kind: Kind) -> SplitRecord:
        """The record of measured totals."""
        return cls(
            total_nats=nll.total_nats,
            num_events=nll.num_events,
            num_dims=nll.num_dims,
            nats_per_event=nll.nats_per_event,
            bits_per_dim=nll.bits_per_dim,
            standard_error_nats=nll.standard_error_nats,
            standard_error_bits_per_dim=nll.standard_error_bits_per_dim,
            kind=kind,
        )

    def nats_text(self, unit: str, *, digits: int = 3) -> str:
        """Nats with their standard error: per symbol of a text, else per event."""
        return nats_text(unit, self.model_dump(), digits=digits)

    @property
    def bits_text(self) -> str:
        """Bits per dim with their standard error, or a dash where a density has none."""
        return bits_text(self.model_dump())


class SpeedRecord(_Part):
    """How fast one sampler is on one device."""

    method: str
    batch_size: int
    device: str
    precision: str
    compiled: bool
    repeats: int
    median_s: Finite
    iqr_s: Finite
    events_per_s: Finite
    extrapolated: bool


class Environment(_Part):
    """On what machine and with what software."""

    arbench: str
    python: str
    torch: str
    platform: str
    cpu: str
    threads: int
    gpu: str | None
    git_commit: str | None


class CheckpointRecord(_Part):
    """Which weights."""

    sha256: Sha256


class EvaluationRecord(_Part):
    """How a stream was scored: every symbol once, with at least `context - stride` before it."""

    context: int
    stride: int


class TruthRecord(_Part):
    """The paired gap to the true density of a synthetic task, test split."""

    true_nats_per_event: Finite
    gap_nats_per_event: Finite
    standard_error_nats: Finite


class Record(_Part):
    """What was measured, on what, with what. `nll` is empty unless the training finished."""

    schema_version: Literal[1] = SCHEMA_VERSION
    task: TaskRecord
    model: ModelRecord
    training: TrainingRecord
    evaluation: EvaluationRecord | None = None
    nll: dict[Literal["validation", "test"], SplitRecord]
    truth: TruthRecord | None = None
    sampling: list[SpeedRecord]
    environment: Environment
    checkpoint: CheckpointRecord | None

    def write(self, path: Path) -> None:
        """Write atomically as JSON, after validating once more."""
        self.model_validate(self.model_dump())
        write_text(path, self.to_json())

    def to_json(self) -> str:
        """This record as indented JSON text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Record:
        """The record in a file.

        Raises:
            DataError: if it is missing, no JSON, of a newer format, or breaks the schema.
        """
        missing = "no record there; the run has not finished"
        return read_document(path, cls, SCHEMA_VERSION, DataError, missing)
