"""The training curve that a run leaves in its `metrics.jsonl`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from arbench.errors import DataError
from arbench.experiment.documents import Finite
from arbench.experiment.recipes import describe_validation
from arbench.experiment.strict_json import parse_json


class Point(BaseModel):
    """Where a training stood at one evaluation; a network that fits itself has no train nats."""

    model_config = ConfigDict(frozen=True)

    step: int
    epoch: Finite
    train_nats_per_event: Finite | None = None
    validation_nats_per_event: Finite
    validation_bits_per_dim: Finite | None
    seconds: Finite


def read_curve(metrics: Path) -> list[Point]:
    """The points of a curve in the order of their file; none where there is no file.

    Raises:
        DataError: if the file is damaged.
    """
    if not metrics.is_file():
        return []
    points: list[Point] = []
    try:
        for line in metrics.read_bytes().splitlines():
            points.append(Point.model_validate(parse_json(line)))
    except ValueError as error:
        fault = describe_validation(error) if isinstance(error, ValidationError) else error
        raise DataError(
            f"{metrics}, line {len(points) + 1}: expected a line of JSON per evaluation ({fault})"
        ) from error
    except OSError as error:
        raise DataError(f"{metrics}: cannot be read ({error.strerror})") from error
    return points
