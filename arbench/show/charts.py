"""Charts such as curves and histograms, on light and dark pages alike: a PNG and an SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbench.errors import ConfigError
from arbench.files.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart, but for yellow and black.
# Source: Wong, "Points of view: Color blindness", Nature Methods 8, 2011.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
ENDINGS = (".png", ".svg")
_DOTS_PER_INCH = 150
# Nothing that is otherwise the next time.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
}


@contextmanager
def drawn_chart(
    path: Path,
    *,
    width: float = 6.4,
    height: float = 4.0,
    endings: Sequence[str] = ENDINGS,
) -> Iterator[Figure]:
    """A figure to draw on; at the end of the block it is written to two files.

    It has a background of its own, so it can be read on a light page and on a dark one. The same
    chart is the same bytes again.

    Args:
        path: of both files, without an extension; they end in ".png" and ".svg".
        width: inches.
        height: inches.
        endings: of the files that are written; both, unless a user wants one.

    Raises:
        ConfigError: if matplotlib is not installed.
    """
    try:
        import matplotlib.rcsetup
        import matplotlib.style
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError(
            "charts are drawn by matplotlib, which is not installed: pip install 'arbench[measure]'"
        ) from error
    style = {
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.prop_cycle": matplotlib.rcsetup.cycler(color=COLOURS),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.facecolor": "white",
        "grid.color": "#dddddd",
        "legend.frameon": False,
        "savefig.facecolor": "white",
        "svg.hashsalt": "arbench",
    }
    with matplotlib.style.context(["default", style]):
        figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
        yield figure
        for ending in endings:
            with atomic_path(path.with_name(path.name + ending)) as file:
                figure.savefig(file, format=ending[1:], metadata=_METADATA[ending])


def chart_files(path: Path) -> list[Path]:
    """The two files of a chart that `drawn_chart` writes to a path."""
    return [path.with_name(f"{path.name}{ending}") for ending in ENDINGS]
