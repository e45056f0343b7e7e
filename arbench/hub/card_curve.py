"""The training curve as a small table on a model card."""

from __future__ import annotations

from pathlib import Path

from arbench.boards.curves import Point, read_curve
from arbench.show.tables import Table, as_markdown

_MOST_ROWS = 8


def curve_table(metrics: Path, unit: str, sha256: str | None = None) -> str:
    """The curve in a run's `metrics.jsonl`, as Markdown; empty where there is none.

    The first and the last evaluation are in it, and others evenly between.

    Raises:
        DataError: if the file is damaged.
    """
    rows = [_row(point) for point in _spread(read_curve(metrics, sha256))]
    if not rows:
        return ""
    headers = ("step", "epoch", "train nats", "validation nats", f"validation bits/{unit}", "time")
    return as_markdown(Table("", headers, rows))


def _spread(points: list[Point]) -> list[Point]:
    count = min(len(points), _MOST_ROWS)
    last = max(count - 1, 1)
    return [points[(len(points) - 1) * i // last] for i in range(count)]


def _row(point: Point) -> tuple[str, ...]:
    train, bits = point.train_nats_per_event, point.validation_bits_per_dim
    return (
        f"{point.step:,}",
        f"{point.epoch:.3g}",
        "-" if train is None else f"{train:.2f}",
        f"{point.validation_nats_per_event:.2f}",
        "-" if bits is None else f"{bits:.4f}",
        f"{point.seconds:,.0f} s",
    )
