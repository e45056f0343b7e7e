"""Reads a queue file (TOML): which runs, with which settings, in which order; lists are swept.

An entry may give a list where one value belongs, such as `seed = [0, 1, 2]` or `settings.hidden =
[100, 500]`. It stands for a run with each of them, and with each combination of several lists. The
runs have the entry's name and, behind it, what sets them apart: "mnist-nade.hidden-100.seed-0". A
list that a setting takes as it is, such as the sizes of layers, is one value; a list of such is
swept.
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from arbench.errors import ArbenchError, ConfigError
from arbench.files.documents import describe_validation
from arbench.registry.entries import NAME_PATTERN, ModelEntry
from arbench.registry.manager import registry
from arbench.runs.config import Precision
from arbench.runs.record.difference import setting_text
from arbench.training.recipes import resolve_recipe

LONGEST_NAME = 64  # of NAME_PATTERN
_MOST_RUNS = 10_000


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
        recipe: by its name; that of the task if not given.
        init: a run whose weights to begin from, see `arbench run --help`.
        large: whether a network may have any size.
        name: of its folder; `<task>-<model>` if not given, and behind it what is swept.
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
    recipe: str | None = None
    init: str | None = None
    large: bool = False
    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]


class Queue(BaseModel):
    """A queue file: runs in the order in which they are to be made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Annotated[list[QueuedRun], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _swept(cls, values: Any) -> Any:
        entries = values.get("run") if isinstance(values, dict) else None
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            return values
        return values | {"run": [run for entry in entries for run in swept(entry)]}

    @model_validator(mode="after")
    def _has_a_folder_for_each(self) -> Queue:
        names = [run.name for run in self.run]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two runs are called {name!r}; give one of them a name")
        return self


def swept(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs that an entry of a queue stands for, each with its name; the last list goes fastest.

    Raises:
        ValueError: if that are none or too many, or a name would be too long.
    """
    axes = _axes(entry)
    if not 0 < (number := math.prod(map(len, axes.values()))) <= _MOST_RUNS:
        raise ValueError(f"an entry stands for {number:,} runs, expected 1 to {_MOST_RUNS:,}")
    runs = []
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        run = {**entry, **{key: value for (place, key), value in chosen.items() if not place}}
        if isinstance(settings := entry.get("settings"), dict):
            own = {key: value for (place, key), value in chosen.items() if place}
            run["settings"] = {**settings, **own}
        run["name"] = _name(entry, run, chosen)
        if axes and len(run["name"]) > LONGEST_NAME:
            raise ValueError(f"the name {run['name']!r} is too long; give the entry a short name")
        runs.append(run)
    return runs


def _name(
    entry: Mapping[str, Any], run: Mapping[str, Any], chosen: Mapping[tuple[str, str], Any]
) -> Any:
    """That of the entry, or its task and model; then what was chosen from its lists."""
    if not chosen and "name" in entry:
        return entry["name"]
    last = Counter(key.rpartition(".")[2] for _, key in chosen)
    parts = [entry.get("name") or f"{run.get('task', '')}-{run.get('model', '')}"]
    for (place, key), value in chosen.items():
        if place or key not in ("task", "model"):
            short = key.rpartition(".")[2]
            parts.append(f"{short if last[short] == 1 else key}-{setting_text(value)}")
        elif "name" in entry:
            parts.append(str(value))
    return ".".join(re.sub(r"[^a-z0-9._]+", "-", str(part).lower()).strip("-") for part in parts)


def _axes(entry: Mapping[str, Any]) -> dict[tuple[str, str], list[Any]]:
    """The lists of an entry that are swept, by "settings" or "" and their key there."""
    axes: dict[tuple[str, str], list[Any]] = {}
    for key, value in entry.items():
        if key == "settings" and isinstance(value, dict):
            lists = {name: each for name, each in value.items() if isinstance(each, list)}
            for name, each in lists.items():
                if not _is_a_value(entry, name, each):
                    axes["settings", name] = each
        elif isinstance(value, list) and key not in ("measure", "name"):
            axes["", key] = value
    return axes


def _is_a_value(entry: Mapping[str, Any], key: str, value: list[Any]) -> bool:
    """Whether a setting takes this list as it is.

    That of a model which is not there counts as taken: the run will say what is wrong.
    """
    models = entry.get("model")
    for model in models if isinstance(models, list) else [models]:
        try:
            offer = registry().find(ModelEntry, str(model))
            network_class = offer.load()
        except ArbenchError:
            return True
        try:
            resolve_recipe(offer.entry, network_class, str(entry.get("task")), {key: value})
        except ConfigError:
            return False
    return True


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
