"""The picture of a probe: how often each is right, and what it takes for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

from torch import Tensor

from arbench import Row, chart_files, drawn_chart

_MOST_WRITTEN = 12  # classes beyond which a matrix has no numbers in it


def draw_probe(
    path: Path,
    rows: Sequence[Row],
    draws: Mapping[str, Sequence[float]],
    confusion: Tensor,
    classes: Sequence[str],
) -> list[Path]:
    """Bars with errors, a dot for each draw; beside them the matrix of the first one.

    Args:
        path: without an extension.
        rows: percents, the features' first.
        draws: the percent of each draw, by the case of its row.
        confusion: `(C, C)` counts, a row for each true class.
        classes: their names.

    Returns:
        The two files.
    """
    shares = 100 * confusion.double() / confusion.sum(1, keepdim=True).clamp(min=1)
    with drawn_chart(path, width=10, height=4.6) as figure:
        bars, matrix = figure.subplots(1, 2, width_ratios=(5, 4))
        lowest = min(row.value for row in rows)
        start = max(0.0, lowest - (100 - lowest) / 2)
        for place, row in enumerate(rows):
            colour = "C0" if place == 0 else "#999999"
            bars.barh(place, row.value, xerr=row.error, color=colour, alpha=0.8, capsize=3)
            dots = draws[row.case]
            bars.plot(dots, [place] * len(dots), "o", color="black", markersize=3)
            bars.text(start, place, f" {row.value:.1f}", va="center")
        bars.set_xlim(start, 100)
        bars.set_yticks(range(len(rows)), [fill(row.case, 20) for row in rows])
        bars.invert_yaxis()
        bars.grid(visible=False, axis="y")
        bars.set_xlabel("% of the test events right")
        matrix.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=100)
        matrix.grid(visible=False)
        matrix.set_xlabel("told, by its features")
        matrix.set_ylabel("true class")
        if len(classes) <= _MOST_WRITTEN:
            matrix.set_xticks(range(len(classes)), classes)
            matrix.set_yticks(range(len(classes)), classes)
            for true, line in enumerate(shares.tolist()):
                for told, share in enumerate(line):
                    if share >= 0.05:
                        colour = "white" if share > 50 else "black"
                        matrix.text(
                            *(told, true, f"{share:.1f}"),
                            ha="center",
                            va="center",
                            fontsize=6,
                            color=colour,
                        )
    return chart_files(path)
