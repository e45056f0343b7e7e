"""The pictures: how likely home and outliers are, their p-values, and a heat table of AUROC."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from arbench import chart_files, drawn_chart
from arbench_detection.scores import SCORES, Reference
from arbench_detection.table import QualityTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_NUM_BINS = 80
_NUM_P_BINS = 20
_HEIGHT = 0.85  # of the highest bar of a row, where rows are 1 apart
_GREY = "#888888"
_WIDTH = 7.0


def likelihoods(path: Path, log_probs: Mapping[str, Tensor], typical: Reference) -> list[Path]:
    """Histograms of -log p, a row for each kind; dashed is what is typical."""
    nats = {name: -values[values > -1e299].numpy() for name, values in log_probs.items()}
    everything = np.concatenate([*nats.values(), [typical.entropy]])
    low, high = everything.min(), everything.max()
    high = high if high > low else low + 1
    is_log = low > 0 and high > 10 * low
    bins = (np.geomspace if is_log else np.linspace)(low, high, _NUM_BINS + 1)
    with drawn_chart(path, width=_WIDTH, height=_height(len(nats))) as figure:
        axes = _histograms(figure, nats, bins)
        axes.axvline(typical.entropy, color=_GREY, linestyle="--", linewidth=1)
        if is_log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("-log p in nats; dashed: the mean of validation events")
    return chart_files(path)


def p_values(path: Path, found: Mapping[str, Tensor]) -> list[Path]:
    """Histograms of p-values; those of test events are level where nothing is overfitted."""
    numbers = {name: values.numpy() for name, values in found.items()}
    bins = np.linspace(0, 1, _NUM_P_BINS + 1)
    with drawn_chart(path, width=_WIDTH, height=_height(len(found))) as figure:
        axes = _histograms(figure, numbers, bins)
        for row, values in enumerate(numbers.values()):
            highest = np.histogram(values, bins)[0].max()
            level = row - _HEIGHT * len(values) / _NUM_P_BINS / max(highest, 1)
            axes.plot([0, 1], [level, level], color=_GREY, linestyle="--", linewidth=1)
        axes.set_xlabel("p-value: rank of log p among train events; dashed: all ranks alike")
    return chart_files(path)


def heat_table(path: Path, table: QualityTable, names: list[str]) -> list[Path]:
    """AUROC of every score against every kind of outlier."""
    scores = [*table.means]
    numbers = np.array([[table.cells[n, s, "auroc"].value for s in scores] for n in names])
    width, height = 1.6 + 1.25 * len(scores), 1.2 + 0.42 * len(names)
    with drawn_chart(path, width=width, height=height) as figure:
        axes = figure.subplots()
        axes.imshow(numbers, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
        axes.grid(False)
        axes.set_xticks(range(len(scores)), [SCORES[each][0] for each in scores])
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.xaxis.tick_top()
        for (row, column), number in np.ndenumerate(numbers):
            colour = "white" if abs(number - 0.5) > 0.35 else "black"
            axes.text(column, row, f"{number:.3f}", ha="center", va="center", color=colour)
    return chart_files(path)


def _height(num_rows: int) -> float:
    return 0.5 * num_rows + 0.9


def _histograms(
    figure: Figure, rows: Mapping[str, NDArray[np.float64]], bins: NDArray[np.float64]
) -> Axes:
    """A histogram below the other, each as high as its highest bar; the first is home."""
    axes = figure.subplots()
    for row, values in enumerate(rows.values()):
        counts = np.histogram(values, bins)[0]
        tops = row - _HEIGHT * counts / max(counts.max(), 1)
        axes.stairs(tops, bins, baseline=row, fill=True, color=f"C{min(row, 1)}")
    axes.set_yticks(range(len(rows)), [*rows])
    axes.set_ylim(len(rows) - 0.9, -1)
    axes.tick_params(axis="y", length=0)
    return axes
