"""The measurement pixeldefend: a classifier's accuracy under attack, behind purification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from arbench import Context, Density, Discrete, Handed, Measured, Measurement
from arbench_pixeldefend.attacks import levels_of
from arbench_pixeldefend.defence import Defence, Plan

_STRENGTHS = (0.1, 0.2, 0.3)
_FEWEST_LEVELS = 8


class PixelDefend(Measurement):
    """Accuracy on images that BIM attacked with the largest eps, after purification.

    Args:
        num_events: how many test images are attacked, evenly spaced; all if there are fewer.
        eps: how far an attack may move a pixel, as shares of the range of levels, from small to
            large; purification moves it as far. By default 0.1, 0.2 and 0.3.
        num_epochs: for which the classifier is trained.
        bpda_steps: of the attack that knows of the defence; each costs one purification. 0 leaves
            it out.
    """

    name = "pixeldefend"
    version = "1"
    unit = "accuracy"
    better = "higher"
    reads = ("train", "labels:train", "test", "labels:test")
    needs = ("log_prob", "reference_path")
    tiny_settings: ClassVar[Mapping[str, Any]] = {
        "num_events": 12,
        "eps": [0.3],
        "num_epochs": 2,
        "bpda_steps": 2,
    }

    def __init__(
        self,
        *,
        num_events: int = 1000,
        eps: list[float] | None = None,
        num_epochs: int = 3,
        bpda_steps: int = 10,
    ) -> None:
        strengths = list(_STRENGTHS if eps is None else eps)
        if min(num_events, num_epochs) < 1 or bpda_steps < 0:
            raise ValueError(
                "num_events and num_epochs are at least 1, and bpda_steps at least 0; got "
                f"{num_events}, {num_epochs} and {bpda_steps}"
            )
        percents = [round(100 * each) for each in strengths]
        if not strengths or percents != sorted({*percents}) or percents[0] < 1 or strengths[-1] > 1:
            raise ValueError(
                f"eps are shares of the range, at least 0.01 apart, from small to large; got {eps}"
            )
        self.plan = Plan(num_events, strengths, num_epochs, bpda_steps)

    def refuses(self, density: Density, dataset: Handed) -> str | None:
        """See `Measurement.refuses`."""
        domain = dataset.spec.domain
        if len(dataset.spec.shape) != 3 or not isinstance(domain, Discrete):
            return f"{self.name} attacks images of levels, and the events of {dataset.name} are not"
        if domain.size < _FEWEST_LEVELS or not levels_of(self.plan.strengths[0], domain.size):
            return (
                f"an attack moves pixels by up to {self.plan.strengths[0]:g} of their range and a "
                f"whole number of levels, and those of {dataset.name} have {domain.size} levels"
            )
        return None

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """See `Measurement.measure`."""
        defence = Defence(self.plan, density, dataset, context)
        defence.score_purified()
        defence.score_without_density()
        defence.score_attack_that_knows()
        defence.detect()
        number, *rows = defence.rows
        return self.measured(
            defence.values,
            case=number.case,
            rows=rows,
            baselines=defence.baselines,
            index=defence.index,
            groups=defence.groups,
            details={
                "num_events": len(defence.clean),
                "radii": {f"{eps:g}": defence.radius(eps) for eps in self.plan.strengths},
            },
            pictures=defence.draw(),
        )
