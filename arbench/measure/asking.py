"""Runs one measurement on a density and checks its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from arbench.data.dataset import Dataset
from arbench.data.tasks import SPLITS
from arbench.errors import ArbenchError, PluginError
from arbench.measure.context import Context, Handed
from arbench.measure.measured import ROUNDING_SHARE, Measured
from arbench.measure.measurement import Measurement
from arbench.measure.statistics.resampling import NUM_RESAMPLES, error_of
from arbench.probability.precision import evaluation_mode

if TYPE_CHECKING:
    from arbench.probability.density import Density


def refusal(measurement: Measurement, density: Density, dataset: Dataset) -> str | None:
    """Why a measurement means nothing for a density on a dataset, in a sentence; None if it does.

    First what the density or the task lacks, by name; then what the measurement itself says.
    """
    for need in measurement.needs:
        offers = callable(getattr(density, need, None))
        if not offers or (need == "sample" and not density.samplers):
            return f"{measurement.name} needs {_NEEDED[need]}, and this density offers none"
    task = dataset.task
    for read in measurement.reads:
        if read.startswith("labels:") and not task.has_labels:
            return f"{measurement.name} reads labels, and {task.name} has none"
    return measurement.refuses(density, Handed(dataset, measurement.name, measurement.reads))


_NEEDED = {
    "log_prob": "log-probabilities (log_prob)",
    "sample": "samples (sample)",
    "conditionals": "the distribution of every dim (conditionals)",
    "features": "features of events (features)",
    "reinitialise": "the same model before training (reinitialise)",
}


def ask(
    measurement: Measurement,
    density: Density,
    dataset: Dataset,
    context: Context,
    *,
    num_resamples: int = NUM_RESAMPLES,
) -> Measured:
    """The answer of a measurement, checked, with the standard error of its number.

    Where it names neither an error nor groups, the groups are the task's, and the error follows
    from its values; see `statistics.resampling`.

    Args:
        measurement: what to ask; see `refusal` for whether it may be.
        density: whom.
        dataset: on what.
        context: made for this measurement.
        num_resamples: by which the standard error is found, where the number is no mean.

    Raises:
        Impossible: if the run can have no number at all.
        PluginError: if the answer breaks the contract, or the measurement fails.
    """
    module = density if isinstance(density, nn.Module) else nn.Module()
    with evaluation_mode(module):
        try:
            handed = Handed(dataset, measurement.name, measurement.reads)
            measured = measurement.measure(density, handed, context)
            context.opened.update(handed.opened)
            return _completed(measurement, measured, dataset, num_resamples)
        except (ArbenchError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # the code is somebody else's
            raise PluginError(
                f"{measurement.name} failed: {type(error).__name__}: {error}; ask its author"
            ) from error


def _completed(
    measurement: Measurement, measured: Measured, dataset: Dataset, num_resamples: int
) -> Measured:
    """The answer, checked, with groups and an error where it names none."""
    if not isinstance(measured, Measured):
        raise TypeError(f"measure returned a {type(measured).__name__}, expected Measured")
    number = measured.number
    if (number.unit, number.better) != (measurement.unit, measurement.better):
        raise ValueError(
            f"its number is in {number.unit!r}, {number.better} is better; the measurement says "
            f"{measurement.unit!r}, {measurement.better}"
        )
    if not measured.values:
        return measured
    found = total_of(measurement, measured.values)
    if not abs(found - number.value) <= ROUNDING_SHARE * max(1.0, abs(number.value)):
        raise ValueError(
            f"its number is {number.value!r}, and value_of makes {found!r} of its values"
        )
    dims = None
    if measured.index in SPLITS:
        split = dataset.split(measured.index)
        if len(split) != measured.num_values:
            raise ValueError(
                f"there are {measured.num_values:,} values, and the {measured.index} split has "
                f"{len(split):,} events"
            )
        dims = split.scored_dims if split.is_stream else None
        groups = measured.groups if split.groups is None else split.groups
        measured = replace(measured, groups=groups)
    if number.error is None:
        error = error_of(
            measurement,
            measured.values,
            measured.groups,
            stream_dims=dims,
            num_resamples=num_resamples,
        )
        measured = replace(measured, rows=[replace(number, error=error), *measured.rows[1:]])
    return measured


def total_of(measurement: Measurement, values: Mapping[str, Tensor]) -> float:
    """The number that a measurement makes of its values, each counted once."""
    first = next(iter(values.values()))
    return float(measurement.value_of(values, torch.ones_like(first)))
