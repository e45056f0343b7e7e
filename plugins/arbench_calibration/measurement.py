"""The measurement calibration: predicted probabilities against what happened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor

from arbench import Context, Density, Discrete, Handed, Measured, Measurement, Row, in_bits
from arbench_calibration import charts
from arbench_calibration.bins import (
    BinSums,
    calibration_error,
    equal_mass,
    equal_width,
    error_by_chance,
)
from arbench_calibration.frequencies import Frequencies
from arbench_calibration.groups import Groups
from arbench_calibration.sums import Sums
from arbench_calibration.symbols import Predictor, each_symbol
from arbench_calibration.temperature import Kept, Temperature, best_temperature, few_enough
from arbench_calibration.transform import UniformTest, furthest, uniform_test

_MOST_EVENTS, _MOST_WINDOWS = 2000, 512  # unless somebody asks for more
_BINARY, _LIKELIEST = "probability of 1", "probability of the most likely value"


class Calibration(Measurement):
    """Expected calibration error of the probabilities of all scored dims of test events.

    Args:
        num_events: how many events of test are looked at, evenly spaced, and at most how many of
            validation; of a stream, how many windows, from the first on. By default 2,000 events,
            or 512 windows; all of them if there are fewer.
        num_bins: of the calibration error.
    """

    name = "calibration"
    version = "1"
    unit = "ECE"
    better = "lower"
    reads = ("validation", "test")
    needs = ("conditionals",)
    tiny_settings: ClassVar = {"num_events": 50}

    def __init__(self, *, num_events: int | None = None, num_bins: int = 15) -> None:
        if num_events is not None and num_events < 1:
            raise ValueError(f"num_events is {num_events}, expected 1 or more")
        if not 2 <= num_bins <= 99:
            raise ValueError(f"num_bins is {num_bins}, expected 2 to 99")
        self.num_events, self.num_bins = num_events, num_bins

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """See `Measurement.measure`."""
        most = self.num_events or (_MOST_EVENTS if dataset.windows is None else _MOST_WINDOWS)
        predictor = cast(Predictor, density)  # as `needs` says
        domain = dataset.spec.domain
        assert isinstance(domain, Discrete)
        validation = few_enough(dataset.split("validation"), domain.size, most)
        whole = dataset.split("test")
        split = whole.take(whole.spread(most))
        with context.reporter.bar("finding the temperature") as advance:
            kept = Kept.of(predictor, validation, advance)
            temperature = best_temperature(kept, Groups(validation))
        sums = Sums(
            len(split),
            dataset.spec,
            equal_width(self.num_bins),
            equal_mass(kept.predicted, self.num_bins),
            context.generator("transform"),
        )
        with context.reporter.bar("holding predictions against events") as advance:
            for some in each_symbol(predictor, split, advance):
                sums.add(some, temperature.value)
        pooled = dataset.windows is not None
        known = Frequencies(dataset.spec, validation, pooled=pooled)
        groups = Groups(split)
        is_whole = len(split) == len(whole)
        which = f"{'first ' if whole.is_stream else ''}{len(split)} of test"
        test = uniform_test(sums.transforms.counts, groups)
        predicts = _BINARY if domain.size == 2 else _LIKELIEST
        return self.measured(
            self._values(sums.bins),
            index="test" if is_whole else which,
            groups=None if is_whole else groups.stated,
            baselines=[
                self.row("frequency of each value", known.calibration_error(split, sums.bins.edges))
            ],
            rows=self._rows(sums, groups, temperature, test),
            details={
                "predicts": predicts,
                "num_events": len(split),
                "num_dims": int(sums.bins.counts.sum()),
                "num_validation_events": len(validation),
                "temperature": {"value": temperature.value, "error": temperature.error},
                "uniform_test": None
                if test is None
                else {"statistic": test.statistic, "p_value": test.p_value},
                **sums.details(),
            },
            pictures=_pictures(sums, groups, predicts, test, context.folder),
        )

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        """The expected calibration error of weighted events; see `Measurement.value_of`."""
        gaps = torch.stack([values[name] for name in values if name != "dims"])
        return calibration_error(gaps @ weights, values["dims"] @ weights).item()

    def _values(self, bins: BinSums) -> dict[str, Tensor]:
        """Of each event: predicted minus happened in every bin, and its dims."""
        gaps = {
            f"gap_{number:02}": gap.clone() for number, gap in enumerate(bins.gaps.unbind(1), 1)
        }
        return {**gaps, "dims": bins.counts.sum(1)}

    def _rows(
        self, sums: Sums, groups: Groups, temperature: Temperature, test: UniformTest | None
    ) -> list[Row]:
        """The numbers below the first one."""
        dims, even, bins = sums.bins.counts.sum(1), sums.even, sums.bins
        again = groups.resampled(dims)
        rows = [
            self.row(
                "bins of equal mass",
                calibration_error(even.gaps.sum(0), dims.sum()).item(),
                groups.error(calibration_error(groups.resampled(even.gaps), again)),
            ),
            self.row(
                "by chance if calibrated",
                error_by_chance(bins.variances.sum(0), dims.sum()).item(),
            ),
            Row(
                f"gain by temperature {temperature.value:.4f}",
                in_bits(sums.gains.sum().item()) / dims.sum().item(),
                "bits/dim",
                "lower",
                groups.error(in_bits(1.0) * groups.resampled(sums.gains) / again),
            ),
            Row(
                "transform from uniform",
                furthest(sums.transforms.counts.sum(0)).item(),
                "KS distance",
                "lower",
                groups.error(furthest(groups.resampled(sums.transforms.counts))),
            ),
        ]
        if test is not None:
            rows.append(Row("transform is uniform", test.p_value, "p-value", "higher"))
        return rows


def _pictures(
    sums: Sums, groups: Groups, predicts: str, test: UniformTest | None, folder: Path
) -> list[Path]:
    """The files of all charts."""
    said = "not tested: too few groups" if test is None else f"uniform: p = {test.p_value:.2g}"
    return [
        *charts.draw_reliability(sums.bins, groups, predicts, folder / "reliability"),
        *charts.draw_transform(sums.transforms.counts, groups, said, folder / "transform"),
        *charts.draw_places(sums.by_place, sums.places, predicts, folder / "places"),
    ]
