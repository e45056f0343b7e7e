"""Draws the reliability diagram, the histogram of the transform, and calibration by place."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from arbench import chart_files, drawn_chart
from arbench_calibration.bins import BinSums, calibration_error, error_by_chance
from arbench_calibration.groups import Groups
from arbench_calibration.places import Places

_NUM_BARS = 20
_FEWEST_DIMS = 30  # at a place, to be shown
_LEAST_HEIGHT = 0.05  # however flat the histogram is


def draw_reliability(bins: BinSums, groups: Groups, predicts: str, path: Path) -> list[Path]:
    """How often it happened against how likely it was said to be, and how many dims that are.

    Args:
        bins: of one width.
        groups: over which errors are.
        predicts: what the probabilities are of, in words.
        path: of the files, without an extension.
    """
    counts, predicted, happened = (
        each.sum(0) for each in (bins.counts, bins.predicted, bins.happened)
    )
    full = counts > 0
    mean, share = predicted[full] / counts[full], happened[full] / counts[full]
    again = groups.resampled(bins.happened) / groups.resampled(bins.counts)
    errors = again.std(0)[full]
    edges = torch.cat((torch.zeros(1).double(), bins.edges, torch.ones(1).double()))
    with drawn_chart(path, width=5.0, height=5.4) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        above.plot([0, 1], [0, 1], color="#888888", linewidth=1, label="calibrated")
        above.errorbar(*_lists(mean, share, 2 * errors), fmt="o", label="± 2 standard errors")
        above.set(ylabel="share of them that happened", xlim=(0, 1), ylim=(-0.02, 1.02))
        above.legend(loc="upper left")
        bars = _lists(edges[:-1], counts / counts.sum(), edges.diff())
        below.bar(*bars, align="edge", edgecolor="white")
        below.set(xlabel=predicts, ylabel="share of dims", yscale="log")
    return chart_files(path)


def draw_transform(counts: Tensor, groups: Groups, said: str, path: Path) -> list[Path]:
    """The histogram of the transform, which is flat if the model is right.

    Args:
        counts: `(N, cells)` of every event.
        groups: over which errors are.
        said: the outcome of the test.
        path: of the files, without an extension.
    """
    bars = counts.view(len(counts), _NUM_BARS, -1).sum(-1)
    heights = _NUM_BARS * bars.sum(0) / bars.sum()
    again = groups.resampled(bars)
    errors = 2 * (_NUM_BARS * again / again.sum(-1, keepdim=True)).std(0)
    middles = (torch.arange(_NUM_BARS) + 0.5) / _NUM_BARS
    most = 1.1 * max(((heights - 1).abs() + errors).max().item(), _LEAST_HEIGHT)
    with drawn_chart(path, height=3.4) as figure:
        axes = figure.subplots()
        axes.axhline(1, color="#888888", linewidth=1, label="calibrated")
        x, y, errors_of_y = _lists(middles, heights, errors)
        axes.errorbar(x, y, errors_of_y, 0.5 / _NUM_BARS, "o", label="± 2 standard errors")
        axes.set(xlabel="probability integral transform", ylabel="density", xlim=(0, 1))
        axes.set(ylim=(max(0, 1 - most), 1 + most), title=said)
        axes.legend()
    return chart_files(path)


def draw_places(bins: BinSums, places: Places, predicts: str, path: Path) -> list[Path]:
    """What was predicted, what happened and the calibration error, by row or position.

    Left out are places where few dims lie, such as in the first window of a stream alone.

    Args:
        bins: of one width; its rows are the places.
        places: the parts of an event.
        predicts: what the probabilities are of, in words.
        path: of the files, without an extension.
    """
    counts = bins.counts.sum(1)
    full = counts >= min(_FEWEST_DIMS, counts.max().item())
    where, counts = places.firsts[full], counts[full]
    said, happened = bins.predicted.sum(1)[full] / counts, bins.happened.sum(1)[full] / counts
    error = calibration_error(bins.gaps[full], counts)
    chance = error_by_chance(bins.variances[full], counts)
    with drawn_chart(path, height=4.6) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(*_lists(where, said), label=f"mean {predicts}")
        above.plot(*_lists(where, happened), ".", label="share that happened")
        above.set(ylabel="probability", ylim=(0, None))
        above.legend()
        below.plot(*_lists(where, error), label="calibration error")
        below.plot(*_lists(where, chance), "--", color="#888888", label="by chance alone")
        below.set(xlabel=places.name, ylabel="calibration error", ylim=(0, None))
        below.legend()
    return chart_files(path)


def _lists(*tensors: Tensor) -> list[list[float]]:
    """Numbers as matplotlib takes them."""
    return [tensor.tolist() for tensor in tensors]
