"""Reads a run's training curve from its `metrics.jsonl`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from arbench.errors import DataError
from arbench.files.documents import Finite, describe_validation
from arbench.files.strict_json import parse_json


class Point(BaseModel):
    """Where a training stood at one evaluation; a network that fits itself has no train nats."""

    model_config = ConfigDict(frozen=True)

    step: int
    epoch: Finite
    train_nats_per_event: Finite | None = None
    validation_nats_per_event: Finite
    validation_bits_per_dim: Finite | None
    seconds: Finite


def read_curve(metrics: Path, sha256: str | None = None) -> list[Point]:
    """The points of a curve in the order of their file; none where there is no file.

    Args:
        metrics: the file.
        sha256: what it must hash to, from the run's record; None where that does not say.

    Raises:
        DataError: if the file is damaged, or another than the run wrote.
    """
    if not metrics.is_file():
        return []
    points: list[Point] = []
    try:
        data = metrics.read_bytes()
        for line in data.splitlines():
            points.append(Point.model_validate(parse_json(line)))
    except ValueError as error:
        fault = describe_validation(error) if isinstance(error, ValidationError) else error
        raise DataError(
            f"{metrics}, line {len(points) + 1}: expected a line of JSON per evaluation ({fault})"
        ) from error
    except OSError as error:
        raise DataError(f"{metrics}: cannot be read ({error.strerror})") from error
    if sha256 not in (None, hashlib.sha256(data).hexdigest()):
        raise DataError(
            f"{metrics}: its sha256 is not the record's, so it was edited or damaged; put back the "
            "file that the run wrote"
        )
    return points
