"""Reads a queue file (TOML): which runs, with which settings, in which order."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from arbench.errors import ConfigError
from arbench.files.documents import describe_validation
from arbench.registry.entries import NAME_PATTERN
from arbench.runs.config import Precision


class QueuedRun(BaseModel):
    """One `[[run]]` of a queue.

    Attributes:
        task: a task's name.
        model: a model's name.
        settings: overrides of the recipe, `[run.settings]`.
        epochs: length instead of the recipe's.
        budget: wall-clock training time instead, such as "90m", or seconds.
        precision: of the products in training, "float32" or "bfloat16"; see `arbench run --help`.
        compile: whether the training loss is compiled.
        limit: only the first so many events of each split; all if not given.
        seed: of the run.
        measure: further measurements by name, made once the run is finished.
        evaluate_test: whether the test split is evaluated; as the recipe says if not given.
        name: of its folder; `<task>-<model>` if not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    model: str
    settings: Mapping[str, Any] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None
    budget: Annotated[str, Field(coerce_numbers_to_str=True)] | None = None
    precision: Precision = "float32"
    compile: bool = False
    limit: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    measure: tuple[str, ...] = ()
    evaluate_test: bool | None = None
    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")] = ""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if isinstance(values, dict) and "name" not in values:
            stem = f"{values.get('task', '')}-{values.get('model', '')}"
            return {**values, "name": re.sub(r"[^a-z0-9._-]+", "-", stem.lower())}
        return values


class Queue(BaseModel):
    """A queue file: runs in the order in which they are to be made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Annotated[list[QueuedRun], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_a_folder_for_each(self) -> Queue:
        names = [run.name for run in self.run]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two runs are called {name!r}; give one of them a name")
        return self


def read_queue(path: Path) -> list[QueuedRun]:
    """The runs of a queue file, in order.

    Raises:
        ConfigError: if it cannot be read, is no TOML or no queue.
    """
    try:
        return Queue.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).run
    except OSError as error:
        raise ConfigError(f"queue {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"queue {path}: not valid TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"queue {path}: {describe_validation(error)}") from error
