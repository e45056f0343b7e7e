"""Reads a run's training curve, `metrics.jsonl`; a damaged one takes no row from a board."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from arbench.errors import DataError
from arbench.files.documents import Finite, describe_validation
from arbench.files.strict_json import parse_json
from arbench.show.tables import Table
from arbench.training.checkpoints import METRICS

if TYPE_CHECKING:
    from arbench.runs.record.record import Record

_MOST_ROWS = 8


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


def board_curve(run: Path, record: Record) -> tuple[list[Point], str | None]:
    """The curve of a result on a board, and what is wrong with it; None if nothing is.

    The number of a result does not come from its curve: one that is damaged is left out and named,
    and the row stays where it is.
    """
    try:
        return read_curve(run / METRICS, record.sha256.metrics), None
    except DataError as error:
        return [], f"the training curve of {run}: {error}"


def curve_table(run: Path, record: Record) -> Table:
    """The training curve of a run; without rows where it has none.

    The first and the last evaluation are in it, and others evenly between.

    Raises:
        DataError: if the file is damaged.
    """
    points = read_curve(run / METRICS, record.sha256.metrics)
    count = min(len(points), _MOST_ROWS)
    rows = []
    for number in range(count):
        point = points[(len(points) - 1) * number // max(count - 1, 1)]
        train, bits = point.train_nats_per_event, point.validation_bits_per_dim
        rows.append(
            (
                f"{point.step:,}",
                f"{point.epoch:.3g}",
                "-" if train is None else f"{train:.2f}",
                f"{point.validation_nats_per_event:.2f}",
                "-" if bits is None else f"{bits:.4f}",
                f"{point.seconds:,.0f} s",
            )
        )
    bits_per = f"validation bits/{record.task.unit}"
    headers = ("step", "epoch", "train nats", "validation nats", bits_per, "time")
    return Table("training curve, nats per event", headers, rows)
