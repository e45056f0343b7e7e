"""The speed report that `arbench bench` writes and boards join to a result."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from arbench.errors import DataError
from arbench.files.atomic import write_text
from arbench.files.documents import Name, Sha256, read_document
from arbench.measure.environment import Environment, describe_environment
from arbench.measure.speed import SpeedRecord, SpeedSection
from arbench.runs.record.record import Record

SCHEMA_VERSION: Literal[1] = 1


def machine_of(environment: Environment) -> str:
    """The processor of a machine, without the marks of its trade."""
    return re.sub(r"\((R|TM)\)", "", environment.gpu or environment.cpu)


class SpeedReport(BaseModel):
    """The speed of one trained model's samplers on one machine.

    Attributes:
        schema_version: of this format.
        task: the name of the task that the model was trained on.
        model: its name.
        result_sha256: whose speed it is; see `Record.result_sha256`.
        sampling: a row per sampler and batch size.
        environment: the machine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    task: Name
    model: Name
    result_sha256: Sha256
    sampling: Annotated[list[SpeedRecord], Field(min_length=1)]
    environment: Environment

    @classmethod
    def of_record(cls, record: Record) -> tuple[SpeedReport, ...]:
        """What is in a record itself, a report for each time that its samplers were timed."""
        if record.result_sha256 is None:
            return ()
        return tuple(
            cls(
                task=record.task.name,
                model=record.model.name,
                result_sha256=record.result_sha256,
                sampling=section.rows,
                environment=section.environment,
            )
            for section in record.measurements.values()
            if isinstance(section, SpeedSection)
        )

    @classmethod
    def measured(cls, rows: list[SpeedRecord], record: Record, device: torch.device) -> SpeedReport:
        """What was measured here and now of the model of a record.

        Raises:
            DataError: if the record is of a run without a result.
        """
        if record.result_sha256 is None:
            raise DataError("its record names no weights: a run without a result has no speed")
        return cls(
            task=record.task.name,
            model=record.model.name,
            result_sha256=record.result_sha256,
            sampling=rows,
            environment=describe_environment(device),
        )

    @property
    def machine(self) -> str:
        """The processor that it was measured on."""
        return machine_of(self.environment)

    @property
    def file_name(self) -> str:
        """A name for it, one for each machine: "speed-nvidia-h200.json"."""
        return f"speed-{re.sub('[^a-z0-9]+', '-', self.machine.lower()).strip('-')[:48]}.json"

    def to_json(self) -> str:
        """This report as indented JSON text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write atomically as JSON."""
        write_text(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> SpeedReport:
        """The report in a file.

        Raises:
            DataError: if it is missing, no JSON, of a newer format, or breaks the schema.
        """
        return read_document(path, cls, SCHEMA_VERSION, DataError, "no report of speed there")
