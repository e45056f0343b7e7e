"""The schema of `record.json`: task, model, training, foreign, measurements, checks."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler

from arbench.data.padding import no_likelihood
from arbench.errors import DataError
from arbench.files.atomic import write_text
from arbench.files.canonical import seal_fault, sealed
from arbench.files.documents import (
    Count,
    Finite,
    Line,
    Name,
    Natural,
    Part,
    Sha256,
    Values,
    describe_validation,
    read_document,
)
from arbench.measure.environment import Environment, Section
from arbench.measure.likelihood import LikelihoodSection, PiecesRecord, SplitRecord, WindowsRecord
from arbench.measure.speed import SpeedRecord, SpeedSection
from arbench.probability.bits import in_bits
from arbench.registry.entries import NAME_PATTERN
from arbench.runs.record.versions import upgraded
from arbench.show.escaping import one_line

if TYPE_CHECKING:
    from arbench.data.tasks import Task
    from arbench.measure.truth import TruthSection

SCHEMA_VERSION: Literal[3] = 3
# Of a result: a measurement's name, or `name?settings`.
Key = Annotated[Line, Field(pattern=rf"^{NAME_PATTERN}([?].+)?$")]
# A refused one came to its end, and the checks of what it trained failed: it has no number.
Status = Literal["finished", "interrupted", "diverged", "refused"]


class TaskRecord(Part):
    """On what data; `groups` says what of it is independent: events, or recordings of several."""

    name: Name
    version: Line
    data_sha256: Sha256
    num_dims: Count
    unit: Line
    pinned: bool = True
    source: Line = ""
    groups: Line = "event"

    @classmethod
    def from_task(cls, task: Task, data_sha256: str) -> TaskRecord:
        """The record of a task; the hash is that of its dataset."""
        return cls(
            name=task.name,
            version=task.version,
            data_sha256=data_sha256,
            num_dims=task.spec.num_dims,
            unit=task.unit,
            groups=task.group,
            pinned=task.pinned and task.public,
            source=one_line(task.source),  # a file of the user's has any name
        )


class ModelRecord(Part):
    """Which model. Flows and foreign densities have no head and no layout.

    A foreign density may not say how large it is, either. `plugin` is the distribution that a model
    comes from; for a foreign density, its author.
    """

    name: Name
    plugin: Line
    plugin_version: Line
    hyperparameters: Values
    head: Line | None
    head_options: Values = Field(default_factory=dict)
    layout: Line | None
    num_copies: Count = 1
    num_members: Count = 1
    num_parameters: Natural | None


class TrainingRecord(Part):
    """How it was trained; `settings` are of what was chosen, `kernel` is of `KernelNetwork`."""

    recipe: Line
    recipe_sha256: Sha256 | None = None
    settings: Values
    parent: Line | None = None
    parent_sha256: Sha256 | None = None
    tried: dict[Name, Finite | None] = Field(default={})
    seed: Natural
    steps: Natural
    epochs: Finite
    seconds: Finite
    budget_s: Finite | None = None
    limit: Count | None = None
    best_step: Natural
    device: Line
    precision: Line
    compiled: bool
    trial_s: dict[Literal["compiled", "plain"], Finite] = Field(default={})  # of a step
    kernel: Line | None = None
    processes: Count = 1
    status: Status


class ForeignRecord(Part):
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
        repeat_nats: most that a log-probability changed when evaluated in batches of another size.
    """

    object: Line
    log_det_nats: Finite
    dequantisation: Literal["uniform"] | None
    seed: Natural
    limit: Count | None
    device: Line
    repeat_nats: Finite


class HashesRecord(Part):
    """The sha256 of each file of a run, which binds them to each other; None for a missing file.

    They detect an edit. They do not prove who made a number: anybody who edits a file can hash
    it again, and only `arbench verify` finds a number again from its weights.

    Attributes:
        config: of `config.json`.
        weights: of `model.safetensors`.
        metrics: of `metrics.jsonl`, once a training has finished.
        per_event: of the values of every event; the test number is computed from them.
        record: of the record itself without this field, see `arbench.files.canonical`; None in a
            record of format 1, which bound nothing but weights.
    """

    config: Sha256 | None = None
    weights: Sha256 | None = None
    metrics: Sha256 | None = None
    per_event: Sha256 | None = None
    record: Sha256 | None = None


class CheckRecord(Part):
    """What a check of the trained model measured, what it may be at most, and what it looked at."""

    value: Finite
    threshold: Finite
    about: Line = ""


class ChecksRecord(Part):
    """Checks of the trained model at its own size; None where one could not be made.

    `inverse` and `log_det` are of flows, `causality` and `step_equals_forward` of all others.
    """

    causality: CheckRecord | None = None
    step_equals_forward: CheckRecord | None = None
    inverse: CheckRecord | None = None
    log_det: CheckRecord | None = None
    samples_follow: CheckRecord | None = None


_OF_EVERY_RUN: dict[str, type[Section]] = {"likelihood": LikelihoodSection, "speed": SpeedSection}


def _sections_of(measurements: Any) -> Any:
    """The sections of results by key, each by the schema of its own; what is no mapping stays.

    A key is a measurement's name, or `name?settings`.

    Raises:
        ValueError: if one breaks its schema.
    """
    if not isinstance(measurements, dict):
        return measurements
    found: dict[str, Section] = {}
    for key, values in measurements.items():
        if isinstance(values, Section):
            found[key] = values
            continue
        name = key.partition("?")[0]
        schema = _OF_EVERY_RUN.get(name)
        if name == "truth":
            from arbench.measure.truth import TruthSection

            schema = TruthSection
        elif schema is None:
            from arbench.measure.result_sections import ResultSection

            schema = ResultSection
        try:
            found[key] = schema.model_validate(values)
        except ValidationError as error:
            raise ValueError(f"{key}: {describe_validation(error)}") from error
    return found


class Record(Part):
    """What was measured, on what, with what. It has no result unless the training finished.

    A result has either a `training` that arbench made, or it is `foreign`.
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    task: TaskRecord
    model: ModelRecord
    training: TrainingRecord | None = None
    foreign: ForeignRecord | None = None
    measurements: Annotated[dict[Key, SerializeAsAny[Section]], BeforeValidator(_sections_of)] = (
        Field(default_factory=dict)
    )
    checks: ChecksRecord | None = None
    environment: Environment
    sha256: HashesRecord = HashesRecord()

    @model_validator(mode="wrap")
    @classmethod
    def _fits_together(cls, values: Any, validate: ModelWrapValidatorHandler[Record]) -> Record:
        """Read an older format, too, and refuse what does not hold together.

        Raises:
            ValueError: with what does not.
        """
        is_old = isinstance(values, dict) and values.get("schema_version") in (1, 2)
        record = validate(upgraded(values) if is_old else values)
        if (record.training is None) == (record.foreign is None):
            raise ValueError("a record needs either training or foreign, and not both")
        if record.foreign is not None and record.sha256.weights is not None:
            raise ValueError("a foreign density has no weights here, and its record names some")
        if record.foreign is not None and record.sha256.per_event is None:
            raise ValueError(
                "the record of a foreign density must name the sha256 of its log-probabilities"
            )
        failed = [
            name
            for name, check in record.checks or ()
            if check and not check.value <= check.threshold
        ]
        if failed and record.measurements:
            raise ValueError(f"a model that fails a check ({', '.join(failed)}) has no likelihood")
        if record.measurements and record.training and record.training.status != "finished":
            raise ValueError(f"a training that is {record.training.status} has no measurements")
        likelihood = record.measurements.get("likelihood")
        if not isinstance(likelihood, LikelihoodSection):
            return record
        if not record.splits:
            raise ValueError("a likelihood needs validation, test or both")
        windows = likelihood.windows
        for name, split in record.splits.items():
            most = split.num_events * record.task.num_dims
            if split.num_dims > most:
                raise ValueError(f"{name}: {split.num_events:,} events have {most:,} dims at most")
            count = split.num_events if windows is None else windows.count(split.num_dims)
            if split.num_events != count:
                raise ValueError(
                    f"{name}: {split.num_dims:,} symbols are scored in {count:,} windows"
                )
            if split.num_groups is not None and (split.block is None) != (windows is None):
                raise ValueError(f"{name}: a stream has a block, and only a stream has one")
            by_event, by_dim = split.standard_error_nats, split.standard_error_bits_per_dim
            # Where all events have as many dims, the errors differ by that factor alone; so they
            # do over blocks, as the symbols of a window are no chance.
            alike = split.num_dims == most or split.block is not None
            if alike and by_event is not None and by_dim is not None:
                expected = in_bits(by_event * split.num_events / split.num_dims)
                if not math.isclose(by_dim, expected, rel_tol=1e-6, abs_tol=1e-9):
                    raise ValueError(f"{name}: standard_error_bits_per_dim is not {expected:.6g}")
        return record

    @property
    def likelihood(self) -> LikelihoodSection | None:
        """The likelihood; None unless the training finished."""
        section = self.measurements.get("likelihood")
        return section if isinstance(section, LikelihoodSection) else None

    @property
    def splits(self) -> dict[Literal["validation", "test"], SplitRecord]:
        """The likelihood of each split that was evaluated, by its name."""
        likelihood = self.measurements.get("likelihood")
        found: dict[Literal["validation", "test"], SplitRecord | None] = {}
        if isinstance(likelihood, LikelihoodSection):
            found = {"validation": likelihood.validation, "test": likelihood.test}
        return {name: split for name, split in found.items() if split is not None}

    @property
    def windows(self) -> WindowsRecord | None:
        """How a stream was scored; None for a task of events, and where nothing was."""
        return None if self.likelihood is None else self.likelihood.windows

    @property
    def pieces(self) -> PiecesRecord | None:
        """How pieces were scored; None for any other task, and where nothing was."""
        return None if self.likelihood is None else self.likelihood.pieces

    @property
    def speeds(self) -> list[SpeedRecord]:
        """How fast its samplers are; none where they were not timed."""
        return [
            r for s in self.measurements.values() if isinstance(s, SpeedSection) for r in s.rows
        ]

    @property
    def truth(self) -> TruthSection | None:
        """The gap to the true density; None where nobody knows it."""
        return cast("TruthSection | None", self.measurements.get("truth"))  # see `_sections_of`

    @property
    def nll(self) -> dict[Literal["validation", "test"], SplitRecord]:
        """`splits`, as it was called up to version 0.1."""
        warnings.warn("record.nll is record.splits now; it goes in 0.3", DeprecationWarning, 2)
        return self.splits

    def with_sections(self, **sections: Section) -> Record:
        """This record with these results in place of those of the same name; it is not sealed."""
        return self.model_copy(update={"measurements": {**self.measurements, **sections}})

    @property
    def status(self) -> Status:
        """How the training ended; a foreign density is evaluated in full or not at all."""
        return "finished" if self.training is None else self.training.status

    @property
    def limit(self) -> int | None:
        """Only the first so many events of each split were used; None for all."""
        part = self.training or self.foreign
        assert part is not None  # see `_fits_together`
        return part.limit

    @property
    def no_likelihood(self) -> str | None:
        """Why its number is not a likelihood; None if it is. See `padding.no_likelihood`."""
        return no_likelihood(self.model_dump(include={"task", "model", "measurements"}))

    @property
    def result_sha256(self) -> str | None:
        """The hash of the weights, or of a foreign density's values; None without a result."""
        return self.sha256.weights if self.foreign is None else self.sha256.per_event

    @property
    def is_bound(self) -> bool:
        """Whether it carries its own hash; one of format 1 does not."""
        return self.sha256.record is not None

    def write(self, path: Path) -> Record:
        """What was written: atomically, with its own hash, validated again; ValueError for NaN."""
        written = self.model_validate(sealed(self.model_dump(mode="json")))
        write_text(path, written.to_json())
        return written

    def to_json(self) -> str:
        """This record as indented JSON text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"

    def _repr_html_(self) -> str:
        """Its tables, for a notebook."""
        from arbench.show.notebooks.embedding import record_html

        return record_html(self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Record:
        """The record in a file.

        Raises:
            DataError: if it is missing, no JSON, of a newer format, breaks the schema, or does not
                fit the hash that it carries.
        """
        gone = "no record there; the run has not finished"
        return read_document(path, cls, SCHEMA_VERSION, DataError, gone, fault_of=seal_fault)
