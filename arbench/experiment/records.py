"""The record: the JSON that a run leaves, validated when written and when read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from arbench.errors import DataError
from arbench.experiment.documents import Line, Name, read_document
from arbench.experiment.files import write_text
from arbench.experiment.padding import no_likelihood
from arbench.experiment.reporting import one_line
from arbench.experiment.units import bits_text, nats_text
from arbench.probability.density import Kind
from arbench.probability.metrics import FLOAT64_ROUNDING_SHARE, NLL, in_bits

if TYPE_CHECKING:
    from arbench.experiment.tasks import Task

SCHEMA_VERSION: Literal[1] = 1
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1 << 53)]  # what a float64 tells apart
StandardError = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskRecord(_Part):
    """On what data."""

    name: Name
    version: Line
    data_sha256: Sha256
    num_dims: Count
    unit: Line
    pinned: bool = True
    source: Line = ""

    @classmethod
    def from_task(cls, task: Task, data_sha256: str) -> TaskRecord:
        """The record of a task; the hash is `arbench.experiment.tasks.data_sha256` of it."""
        return cls(
            name=task.name,
            version=task.version,
            data_sha256=data_sha256,
            num_dims=task.spec.num_dims,
            unit=task.unit,
            pinned=task.pinned and task.public,
            source=one_line(task.source),  # a file of the user's has any name
        )


class ModelRecord(_Part):
    """Which model. A foreign density has no head and no layout, and may not say how large it is.

    `plugin` is the distribution that it comes from; of a foreign density, whoever wrote it.
    """

    name: Name
    plugin: Line
    plugin_version: Line
    hyperparameters: dict[str, Any]
    head: Line | None
    head_options: dict[str, Any] = {}
    layout: Line | None
    num_copies: int = 1
    num_members: int = 1
    num_parameters: int | None


class TrainingRecord(_Part):
    """How it was trained here."""

    recipe: Line
    settings: dict[str, Any]
    seed: int
    steps: int
    epochs: Finite
    seconds: Finite
    budget_s: Finite | None = None
    limit: int | None = None
    best_step: int
    device: Line
    precision: Line
    compiled: bool
    processes: int = 1
    status: Literal["finished", "interrupted", "diverged"]


class ForeignRecord(_Part):
    """How a density was evaluated that was neither built nor trained here.

    Its weights are not in the run folder, so nobody can compute its numbers again from there: they
    are self-reported.

    Attributes:
        object: the class of what was adapted, `module.Class`.
        log_det_nats: what was added to every log-probability because `to_input` scales its events.
        dequantisation: how discrete events became real ones; None if they did not.
        seed: of what the object draws itself, and of its samples.
        limit: only the first so many events of each split; None for all.
        device: where it was evaluated.
        repeat_nats: the largest change of a log-probability when the first events were evaluated
            again in batches of another size.
        log_probs_sha256: of `log_probs.safetensors`, to which the test number belongs.
    """

    object: Line
    log_det_nats: Finite
    dequantisation: Literal["uniform"] | None
    seed: int
    limit: int | None
    device: Line
    repeat_nats: Finite
    log_probs_sha256: Sha256


class SplitRecord(_Part):
    """The likelihood of one split, totals first; the ratios are those of the totals.

    A density's bits per dim depend on the width of its bins, which no record holds: they are None,
    or what `arbench verify` finds.
    """

    total_nats: Finite
    num_events: Count
    num_dims: Count
    nats_per_event: Finite
    bits_per_dim: Finite | None
    standard_error_nats: StandardError | None
    standard_error_bits_per_dim: StandardError | None
    kind: Kind

    @model_validator(mode="after")
    def _adds_up(self) -> SplitRecord:
        nats = self.total_nats / self.num_events
        if not math.isclose(self.nats_per_event, nats, rel_tol=FLOAT64_ROUNDING_SHARE):
            raise ValueError(f"nats_per_event is not total_nats over num_events, {nats:.6f}")
        bits = in_bits(self.total_nats / self.num_dims)
        if self.kind == "exact" and (
            self.bits_per_dim is None
            or not math.isclose(self.bits_per_dim, bits, rel_tol=FLOAT64_ROUNDING_SHARE)
        ):
            raise ValueError(f"bits_per_dim is not total_nats over num_dims in bits, {bits:.6f}")
        for error in (self.standard_error_nats, self.standard_error_bits_per_dim):
            if (error is None) != (self.num_events == 1):
                raise ValueError("a standard error is null for one event, and for no more")
        return self

    def misfit(self, num_dims: int, windows: EvaluationRecord | None) -> str | None:
        """Why such totals cannot be those of a task's events; None if they can.

        Args:
            num_dims: of an event; not all of them need be scored.
            windows: of a stream, through which it was scored.
        """
        most = self.num_events * num_dims
        if self.num_dims > most:
            return f"{self.num_events:,} events have {most:,} dims at most"
        count = self.num_events if windows is None else windows.count(self.num_dims)
        if self.num_events != count:
            return f"{self.num_dims:,} symbols are scored in {count:,} windows"
        by_event, by_dim = self.standard_error_nats, self.standard_error_bits_per_dim
        # Where all events have as many dims, the errors differ by that factor alone.
        if self.num_dims == most and by_event is not None and by_dim is not None:
            expected = in_bits(by_event / num_dims)
            if not math.isclose(by_dim, expected, rel_tol=1e-6, abs_tol=1e-9):
                return f"standard_error_bits_per_dim is not {expected:.6g}"
        return None

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

    method: Line
    batch_size: int
    device: Line
    precision: Line
    compiled: bool
    repeats: int
    median_s: Finite
    iqr_s: Finite
    events_per_s: Finite
    extrapolated: bool


class Environment(_Part):
    """On what machine and with what software."""

    arbench: Line
    python: Line
    torch: Line
    platform: Line
    cpu: Line
    threads: int
    gpu: Line | None
    git_commit: Line | None


class CheckpointRecord(_Part):
    """Which weights."""

    sha256: Sha256


class EvaluationRecord(_Part):
    """How a stream was scored: every symbol once, with at least `context - stride` before it."""

    context: Count
    stride: Count

    def count(self, num_symbols: int) -> int:
        """How many windows score so many symbols."""
        return 1 + max(0, math.ceil((num_symbols - self.context) / self.stride))


class TruthRecord(_Part):
    """The paired gap to the true density of a synthetic task, test split."""

    true_nats_per_event: Finite
    gap_nats_per_event: Finite
    standard_error_nats: Finite


class Record(_Part):
    """What was measured, on what, with what. `nll` is empty unless the training finished.

    A result has either a `training` that arbench made, or it is `foreign`.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    task: TaskRecord
    model: ModelRecord
    training: TrainingRecord | None = None
    foreign: ForeignRecord | None = None
    evaluation: EvaluationRecord | None = None
    nll: dict[Literal["validation", "test"], SplitRecord]
    truth: TruthRecord | None = None
    sampling: list[SpeedRecord]
    environment: Environment
    checkpoint: CheckpointRecord | None

    @model_validator(mode="after")
    def _says_where_it_comes_from(self) -> Record:
        if (self.training is None) == (self.foreign is None):
            raise ValueError("a record has a training, or it is foreign, and never both")
        if self.foreign is not None and self.checkpoint is not None:
            raise ValueError("a foreign density has no weights here, so its record names none")
        return self

    @field_validator("nll")
    @classmethod
    def _fits_the_rest(
        cls, nll: dict[str, SplitRecord], info: ValidationInfo
    ) -> dict[str, SplitRecord]:
        training, task = info.data.get("training"), info.data.get("task")
        if nll and training is not None and training.status != "finished":
            raise ValueError(f"a training that is {training.status} has no likelihood")
        if task is None:  # what is wrong with it is said already
            return nll
        for name, split in nll.items():
            if fault := split.misfit(task.num_dims, info.data.get("evaluation")):
                raise ValueError(f"{name}: {fault}")
        return nll

    @property
    def status(self) -> Literal["finished", "interrupted", "diverged"]:
        """How the training ended; a foreign density is evaluated in full or not at all."""
        return "finished" if self.training is None else self.training.status

    @property
    def errors(self) -> dict[str, tuple[float, float | None]]:
        """Nats per event of each split and their standard error."""
        return {
            name: (split.nats_per_event, split.standard_error_nats)
            for name, split in self.nll.items()
        }

    @property
    def limit(self) -> int | None:
        """Only the first so many events of each split were used; None for all."""
        part = self.training or self.foreign
        assert part is not None  # see `_says_where_it_comes_from`
        return part.limit

    @property
    def no_likelihood(self) -> str | None:
        """Why the numbers in `nll` are none; None if they are. See `padding.no_likelihood`."""
        return no_likelihood(self.model_dump())

    @property
    def result_sha256(self) -> str | None:
        """What tells this result from another of the same model: the hash of the weights.

        Of a foreign density it is that of the log-probabilities; without a result there is none.
        """
        if self.foreign is not None:
            return self.foreign.log_probs_sha256
        return None if self.checkpoint is None else self.checkpoint.sha256

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
