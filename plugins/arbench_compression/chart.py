"""Draws how long the file is, beside what the likelihood says and what general compressors make."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

from arbench import ConfigError, Row, chart_files, drawn_chart

_FILE, _LIKELIHOOD, _GENERAL = "#0072b2", "#56b4e9", "#999999"
_LEGEND = {
    "the model's file": _FILE,
    "what its likelihood says": _LIKELIHOOD,
    "compressors that know these events alone": _GENERAL,
}


def require_matplotlib() -> None:
    """Refuse before the work, and not after it, where there is nothing to draw with.

    Raises:
        ConfigError: says what to install.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "matplotlib, which draws, is not installed: pip install 'arbench[measure]'"
        )


def draw(
    path: Path, title: str, file: Row, promised: Sequence[Row], general: Sequence[Row]
) -> list[Path]:
    """A bar for each, from the shortest general compressor to the longest.

    Args:
        path: of the two pictures, without an extension.
        title: of the chart.
        file: what was written and read back.
        promised: what the likelihood says of the same events.
        general: what compressors make of them that have seen nothing else.

    Returns:
        The pictures.
    """
    rows = [file, *promised, *sorted(general, key=lambda row: row.value)]
    colours = [_FILE, *[_LIKELIHOOD] * len(promised), *[_GENERAL] * len(general)]
    with drawn_chart(path, width=7.0, height=1.5 + 0.36 * len(rows)) as figure:
        axes = figure.subplots()
        places = range(len(rows))
        errors = [math.nan if row.error is None else row.error for row in rows]
        values = [row.value for row in rows]
        axes.barh(places, values, color=colours)
        axes.errorbar(values, places, xerr=errors, fmt="none", ecolor="black", capsize=3)
        for place, row in zip(places, rows, strict=True):
            axes.annotate(
                f"{row.value:.4f}",
                (row.value + (row.error or 0.0), place),
                (5, 0),
                textcoords="offset points",
                va="center",
            )
        axes.set_yticks(places, [row.case for row in rows])
        axes.invert_yaxis()
        axes.margins(x=0.14)
        axes.set_xlim(left=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"{file.unit}, with one standard error over the events")
        axes.set_title(title, loc="left")
        for meaning, colour in _LEGEND.items():
            axes.barh(0, 0, color=colour, label=meaning)
        figure.legend(loc="outside lower center", ncols=len(_LEGEND), fontsize="small")
    return chart_files(path)
