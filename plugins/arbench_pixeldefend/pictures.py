"""Pictures of the measurement pixeldefend: images, p-values, accuracy over eps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from arbench import chart_files, drawn_chart

_NUM_SHOWN = 8
_LINES = {
    "undefended_bim": ("undefended", "o-"),
    "one_shot_bim": ("one-shot", "s-"),
    "purified_bim": ("purified (Algorithm 1)", "D-"),
    "median_filter_bim": ("median filter", "v--"),
    "threshold_bim": ("threshold", "^--"),
    "purified_bpda": ("purified, attack knows (BPDA)", "x:"),
}


def images(path: Path, shown: Sequence[tuple[str, Tensor]], num_levels: int) -> list[Path]:
    """A row of images for each name; returns the files, as the other two do."""
    with drawn_chart(path, width=6.4, height=0.8 * len(shown)) as figure:
        axes = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for axis, (name, levels) in zip(axes, shown, strict=True):
            row = torch.cat([*levels[:_NUM_SHOWN].long()], dim=2).permute(1, 2, 0)
            row = row.expand(-1, -1, 3) if row.shape[2] == 1 else row[:, :, :3]
            axis.imshow((row / (num_levels - 1)).numpy(), interpolation="nearest")
            axis.set_ylabel(name, rotation=0, ha="right", va="center")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(False)
    return chart_files(path)


def p_values(path: Path, eps: float, values: Mapping[str, Tensor]) -> list[Path]:
    """Histograms of rank p-values, as in the paper's figure."""
    percent = round(100 * eps)
    shown = {
        "p_clean": "clean",
        f"p_noise_{percent}": f"random signs {eps:g}",
        f"p_fgsm_{percent}": f"FGSM {eps:g}",
        f"p_bim_{percent}": f"BIM {eps:g}",
        "p_deepfool": "DeepFool",
        "p_cw": "Carlini-Wagner",
    }
    with drawn_chart(path, width=7.2, height=4.2) as figure:
        axes = figure.subplots(2, 3, sharex=True)
        for axis, (key, name) in zip(axes.flat, shown.items(), strict=True):
            axis.hist(values[key].numpy(), bins=20, range=(0, 1))
            axis.set_title(name, fontsize="medium")
        figure.supxlabel("rank p-value among train images")
        figure.supylabel("images")
    return chart_files(path)


def accuracy(path: Path, strengths: Sequence[float], values: Mapping[str, Tensor]) -> list[Path]:
    """Accuracy under BIM over eps, by defence."""
    with drawn_chart(path) as figure:
        axis = figure.subplots()
        for key, (name, style) in _LINES.items():
            names = [f"{key}_{round(100 * eps)}" for eps in strengths]
            if all(each in values for each in names):
                percents = [100 * values[each].mean().item() for each in names]
                axis.plot(list(strengths), percents, style, label=name)
        axis.set_xlabel("eps of attack and defence")
        axis.set_ylabel("accuracy, %")
        axis.set_ylim(0, 102)
        axis.legend(loc="lower left", fontsize="small")
    return chart_files(path)
