"""`arbench.training_curve`: how a training went, train and validation in one unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbench.boards.curves import Point, read_curve
from arbench.data.rendering import TextRendering
from arbench.data.tasks import task_class
from arbench.hub.finding import find_run
from arbench.probability.bits import in_bits, in_nats
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import read_config
from arbench.runs.record.record import Record

_ROUNDING_SHARE = 1e-6
_UNITS = {"image": "pixel", "audio": "sample", "music": "key", "table": "dim"}


@dataclass(frozen=True)
class CurvePoint:
    """Where a training stood at one evaluation.

    Attributes:
        step: how many steps it had made.
        epoch: the same in epochs.
        seconds: the same in time.
        train: mean nats over what was trained on since the evaluation before, with whatever a
            training has that an evaluation has not, such as dropout; None for a network that fits
            itself.
        validation: nats of the validation split, of the weights that would be kept.
        train_bits: the same as `train` in bits per dim; None where nobody knows how many dims were
            scored, or values have no probability.
        validation_bits: the same as `validation` in bits per dim; None where values have none.
    """

    step: int
    epoch: float
    seconds: float
    train: float | None
    validation: float
    train_bits: float | None
    validation_bits: float | None


@dataclass(frozen=True)
class TrainingCurve:
    """How a training went.

    Attributes:
        task: of the run, by its name.
        model: of the run, by its name.
        recipe: by its name.
        seed: of the run.
        settings: everything that the recipe says, by "section.key".
        unit: what a dim is called.
        per: what nats are given per: "event", or a symbol of a stream by its unit.
        points: one per evaluation, in order.
    """

    task: str
    model: str
    recipe: str
    seed: int
    settings: Mapping[str, Any]
    unit: str
    per: str
    points: Sequence[CurvePoint]


def training_curve(path: str | Path) -> TrainingCurve:
    """The training curve of a run, also of one that is still going on.

    Args:
        path: what `load` takes.

    Raises:
        ConfigError: if the name stands for nothing.
        CheckpointError: if there is no run, or its configuration is damaged.
        DataError: if its curve is damaged, or another than the run wrote.
    """
    run = RunFolder(find_run(path))
    config = read_config(run.path)
    record = Record.read(run.record) if run.record.exists() else None
    points = read_curve(run.metrics, record.sha256.metrics if record else None)
    recipe = config.recipe.model_dump(mode="json")
    task = task_class(config.task)
    is_stream = task is not None and task.needs_windows and not task.has_pieces
    context = config.recipe.stream.context if is_stream else None
    unit = record.task.unit if record else _unit_of(config)
    return TrainingCurve(
        task=config.task,
        model=config.model,
        recipe=config.recipe_name,
        seed=config.seed,
        settings={f"{part}.{key}": value for part in recipe for key, value in recipe[part].items()},
        unit=unit,
        per="event" if context is None else unit,
        points=_in_one_unit(points, config, context),
    )


def _unit_of(config: RunConfig) -> str:
    """What a dim is called, as far as a configuration says."""
    shown = config.shown
    if isinstance(shown, TextRendering):
        return "byte" if shown.symbols is None else "char"
    return _UNITS[shown.kind]


def _in_one_unit(
    points: Sequence[Point], config: RunConfig, context: int | None
) -> list[CurvePoint]:
    """The points, train and validation in the same unit.

    Windows of a stream are scored whole in training, and but for their overlap in validation: of
    both, nats are per symbol. Nats of events are per event, and bits per dim where every event has
    all of its dims scored.

    Args:
        points: as they were written.
        config: of the run.
        context: symbols per window; None where events are no windows.
    """
    spec = config.layouts[0].spec
    width, num_dims = spec.domain.bin_width, spec.num_dims
    found = []
    for point in points:
        train, validation = point.train_nats_per_event, point.validation_nats_per_event
        bits, train_bits = point.validation_bits_per_dim, None
        is_whole = context is not None
        if context is not None and bits is not None:
            validation = in_nats(bits)
        elif bits is not None and width is not None:
            expected = in_bits(validation / num_dims, width)
            is_whole = math.isclose(bits, expected, rel_tol=_ROUNDING_SHARE)
        if train is not None and context is not None:
            train /= context
        if train is not None and bits is not None and width is not None and is_whole:
            train_bits = in_bits(train / (1 if context else num_dims), width)
        found.append(
            CurvePoint(point.step, point.epoch, point.seconds, train, validation, train_bits, bits)
        )
    return found
