"""The chart of training curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbench import ConfigError, CurvePoint, TrainingCurve, drawn_chart
from arbench_plots.labels import labels_of, task_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_RUNS = 12
_DASHES, _GREY = (0, (3, 2)), "#555555"
_MARKERS = (".", "x")  # of the first six runs, and of the others
_MOST_ABOVE = 3.0  # how far above the lowest point the axis reaches, if three quarters reach 1
# What curves go over: the label of the axis, and a point's place.
AXES: dict[str, tuple[str, Callable[[CurvePoint], float]]] = {
    "epochs": ("epochs", lambda point: point.epoch),
    "steps": ("training steps", lambda point: point.step),
    "time": ("training time, minutes", lambda point: point.seconds / 60),
}


def require_drawable(curves: Sequence[TrainingCurve], names: Sequence[str], *, bits: bool) -> None:
    """Refuse curves that no chart could show together.

    Args:
        curves: of runs.
        names: what the user typed for each.
        bits: whether they are drawn in bits per dim.

    Raises:
        ConfigError: with what is in the way.
    """
    if len(curves) > MOST_RUNS:
        raise ConfigError(f"a chart shows at most {MOST_RUNS} runs, got {len(curves)}")
    for curve, name in zip(curves, names, strict=True):
        if not curve.points:
            raise ConfigError(f"{name}: there is no training curve (metrics.jsonl)")
        if bits and any(point.validation_bits is None for point in curve.points):
            raise ConfigError(f"{name}: its values have no probability, so there are no bits")
        if bits and any((p.train_bits is None) != (p.train is None) for p in curve.points):
            raise ConfigError(
                f"{name}: its events differ in length, so there are no bits per dim of what was "
                "trained on; leave out --bits"
            )
    units = sorted({curve.unit for curve in curves})
    if bits and len(units) > 1:
        raise ConfigError(f"these runs have no unit in common: bits per {' and '.join(units)}")
    tasks = sorted({curve.task for curve in curves})
    if not bits and len(tasks) > 1:
        raise ConfigError(
            f"nats of {' and '.join(map(task_name, tasks))} cannot be compared; name runs of one "
            "task, or draw --bits"
        )


def draw_curves(
    curves: Sequence[TrainingCurve],
    names: Sequence[str],
    out: Path,
    *,
    against: str,
    bits: bool,
) -> None:
    """Draw curves into a file: solid on validation, dashed on what was trained on.

    Args:
        curves: that pass `require_drawable`.
        names: what the user typed for each.
        out: a .png or .svg file.
        against: one of `AXES`.
        bits: whether they are drawn in bits per dim.
    """
    axis_label, place_of = AXES[against]
    with drawn_chart(out.with_suffix(""), width=7.2, height=4.4, endings=[out.suffix]) as figure:
        from matplotlib.lines import Line2D  # may be missing, which `drawn_chart` says

        axes = figure.subplots()
        handles, drawn, ends = [], list[float](), list[float]()
        for number, (curve, label) in enumerate(zip(curves, labels_of(curves, names), strict=True)):
            style: dict[str, Any] = {"color": f"C{number % 6}", "marker": _MARKERS[number // 6]}
            style |= {"markersize": 4, "linewidth": 1.4}
            for of_train in (False, True):
                values = {
                    place_of(point): nats
                    for point in curve.points
                    if (nats := value_of(point, bits=bits, of_train=of_train)) is not None
                }
                line: dict[str, Any] = {"linestyle": _DASHES, "alpha": 0.75} if of_train else {}
                axes.plot([*values], [*values.values()], **style, **line)
                drawn += values.values()
                ends += [*values.values()][-1:]
            handles.append(Line2D([], [], **style, label=label.replace("$", r"\$")))
        handles.append(Line2D([], [], color=_GREY, label="validation"))
        handles.append(Line2D([], [], color=_GREY, linestyle=_DASHES, label="train"))
        unit = f"bits per {curves[0].unit}" if bits else f"nats per {curves[0].per}"
        axes.set(xlabel=axis_label, ylabel=unit, xlim=(0, None))
        axes.set_title(", ".join(dict.fromkeys(task_name(c.task) for c in curves)))
        _leave_out_the_steep_beginning(axes, drawn, ends)
        axes.legend(handles=handles)


def _leave_out_the_steep_beginning(
    axes: Axes, drawn: Sequence[float], ends: Sequence[float]
) -> None:
    """Let the axis end where most of the curves lie, if few points lie far above all others.

    Args:
        axes: of the chart.
        drawn: the values of all points.
        ends: the last value of every curve, which stays in sight.
    """
    values = sorted(drawn)
    low, usual, high = values[0], values[len(values) * 3 // 4], values[-1]
    top = low + _MOST_ABOVE * (usual - low)
    top = max(top, low + 1.05 * (max(ends) - low))
    if low < usual and top < high:
        axes.set_ylim(low - 0.05 * (top - low), top)


def value_of(point: CurvePoint, *, bits: bool, of_train: bool) -> float | None:
    """What is drawn of a point; None for the train value of a network that fits itself."""
    if of_train:
        return point.train_bits if bits else point.train
    return point.validation_bits if bits else point.validation
