"""Puts measurements to one density on one dataset, and checks their answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from arbench.data.dataset import Dataset
from arbench.data.sources import cache_dir
from arbench.data.tasks import SPLITS, SplitName, Task
from arbench.errors import ArbenchError, PluginError
from arbench.measure.context import Context, Handed, LoadDensity, not_here
from arbench.measure.environment import Section, describe_environment
from arbench.measure.likelihood import evaluate_log_probs
from arbench.measure.machine import at_work
from arbench.measure.measurement import ROUNDING_SHARE, Measured, Measurement
from arbench.measure.per_event import EventValues
from arbench.measure.statistics.resampling import NUM_RESAMPLES, error_of
from arbench.probability.precision import evaluation_mode
from arbench.show.pictures import FOLDER, PICTURE
from arbench.show.reporting import Reporter

if TYPE_CHECKING:
    from arbench.data.tasks import Split
    from arbench.measure.processes import Processes
    from arbench.probability.density import Density

_NEEDED = {
    "log_prob": "log-probabilities (log_prob)",
    "sample": "samples (sample)",
    "conditionals": "the distribution of every dim (conditionals)",
    "reference_path": "the distribution of each dim given those before it (reference_path)",
    "features": "features of events (features)",
    "reinitialise": "the same model before training (reinitialise)",
}


def lacking(measurement: Measurement, density: Density, task: Task) -> str | None:
    """What a measurement needs and a density or a task does not offer, in a sentence; or None.

    No data are read for this.
    """
    for need in measurement.needs:
        offers = callable(getattr(density, need, None))
        if not offers or (need == "sample" and not density.samplers):
            return f"{measurement.name} needs {_NEEDED[need]}, and this density offers none"
    for read in measurement.reads:
        if read.startswith("labels:") and not task.has_labels:
            return f"{measurement.name} reads labels, and {task.name} has none"
    return None


@dataclass(eq=False)
class Measuring:
    """What is asked of one density on one dataset; log-probabilities are made once and shared.

    Attributes:
        density: whom.
        dataset: on what.
        subject: what messages call the density.
        seed: of the run, which keys whatever a measurement draws.
        folder: of the run.
        reporter: receives progress.
        load_density: loads another trained density, for measurements that compare with others.
        open_dataset: opens another task, for measurements that look at it.
        cache: where artifacts are kept; None keeps them for one measurement alone.
        num_resamples: by which a standard error is found, where the number is no mean.
        sections: of a record, by the keys of the results.
        values: of every event, by the keys of the results.
        evaluated: log-probabilities `(N,)` of splits, nats, float64; what is not here yet is
            computed when it is asked for.
        processes: that compute them together; None for one.
    """

    density: Density
    dataset: Dataset
    subject: str
    seed: int
    folder: Path
    reporter: Reporter = field(default_factory=Reporter)
    load_density: LoadDensity = not_here
    open_dataset: Callable[[str], Dataset] = Dataset
    cache: Path | None = field(default_factory=cache_dir)
    num_resamples: int = NUM_RESAMPLES
    sections: dict[str, Section] = field(default_factory=dict)
    values: dict[str, EventValues] = field(default_factory=dict)
    evaluated: dict[SplitName, Tensor] = field(default_factory=dict)
    processes: Processes | None = None

    def log_probs(self, split: SplitName) -> Tensor:
        """Log-probability `(N,)` of every event of a split, nats, float64."""
        if split not in self.evaluated:
            events = self.dataset.split(split)
            evaluate = self.processes.asked(split) if self.processes else evaluate_log_probs
            with self.reporter.bar(f"evaluating {split}") as advance:
                self.evaluated[split] = evaluate(self.density, events, progress=advance)
        return self.evaluated[split]

    def found(self, split: SplitName) -> tuple[Density, Split]:
        """What another process is to evaluate that is asked for a split; see `Processes.led`."""
        return self.density, self.dataset.split(split)

    def refusal(self, measurement: Measurement) -> str | None:
        """Why a measurement means nothing here, in a sentence; None if it does.

        First what the density or the task lacks, by name; then what the measurement itself says.
        """
        if found := lacking(measurement, self.density, self.dataset.task):
            return found
        handed = Handed(self.dataset, measurement.name, measurement.reads)
        return measurement.refuses(self.density, handed)

    def ask(self, measurement: Measurement) -> tuple[Section, Measured]:
        """Put one question; the answer is kept, and returned. See `refusal` for whether it may be.

        Raises:
            Impossible: if the run can have no number at all.
            PluginError: if the answer breaks the contract, or the measurement fails.
        """
        key = measurement.key
        name, _, settings = key.partition("?")
        if settings:  # what results of other settings leave is kept apart
            name = f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
        handed = Handed(self.dataset, measurement.name, measurement.reads)
        context = Context(
            name=measurement.name,
            version=measurement.version,
            seed=self.seed,
            device=self.density.device,
            place=self.folder / FOLDER / name,
            shared=self.log_probs,
            data_sha256=self.dataset.sha256,
            data_part=self.dataset.part,
            cache=self.cache,
            reads=measurement.reads,
            open_dataset=self.open_dataset,
            load_density=self.load_density,
            subject=self.subject,
            reporter=self.reporter,
        )
        module = self.density if isinstance(self.density, nn.Module) else nn.Module()
        with at_work(alone=measurement.exclusive) as context.alone, evaluation_mode(module):
            try:
                measured = measurement.measure(self.density, handed, context)
                measured = self._completed(measurement, measured)
                if measured.pictures:
                    _require_pictures(measured, context.place)
            except (ArbenchError, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # the code is somebody else's
                raise PluginError(
                    f"{measurement.name} failed: {type(error).__name__}: {error}; ask its author"
                ) from error
        about: dict[str, Any] = {
            "version": measurement.version,
            "settings": measurement.changed,
            "environment": describe_environment(self.density.device),
        }
        if measurement.section is not None:
            self.sections[key] = measurement.section(**about, **measured.details)
        else:
            from arbench.measure.result_sections import ResultSection

            opened = {**context.opened, **handed.opened}
            section = ResultSection.of(measured, seed=self.seed, opened=opened, **about)
            self.sections[key] = section
        if measured.values:
            self.values[key] = EventValues(measured.values, measured.groups)
        return self.sections[key], measured

    def _completed(self, measurement: Measurement, measured: Measured) -> Measured:
        """The answer, checked, with groups and an error where it names none.

        The groups are then the task's, and the error follows from the values; see
        `statistics.resampling`.
        """
        if not isinstance(measured, Measured):
            raise TypeError(f"measure returned a {type(measured).__name__}, expected Measured")
        number, *others = measured.rows
        if (number.unit, number.better) != (measurement.unit, measurement.better):
            raise ValueError(
                f"its number is in {number.unit!r}, {number.better} is better; the measurement "
                f"says {measurement.unit!r}, {measurement.better}"
            )
        if not measured.values:
            return measured
        found = total_of(measurement, measured.values)
        if not abs(found - number.value) <= ROUNDING_SHARE * max(1.0, abs(number.value)):
            raise ValueError(
                f"its number is {number.value!r}, and value_of makes {found!r} of its values"
            )
        dims, groups = None, measured.groups
        if measured.index in SPLITS:
            split = self.dataset.split(measured.index)
            if len(split) != measured.num_values:
                raise ValueError(
                    f"there are {measured.num_values:,} values, and the {measured.index} split "
                    f"has {len(split):,} events"
                )
            dims = split.scored_dims if split.is_stream else None
            groups = groups if split.groups is None else split.groups
        if number.error is None:
            error = error_of(
                measurement,
                measured.values,
                groups,
                stream_dims=dims,
                num_resamples=self.num_resamples,
            )
            number = replace(number, error=error)
        return replace(measured, groups=groups, rows=[number, *others])


def _require_pictures(measured: Measured, place: Path) -> None:
    """Refuse pictures that nobody would find, or that no page would show.

    Raises:
        ValueError: with the first of them.
    """
    for file in measured.pictures:
        name = f"{FOLDER}/{place.name}/{file.name}"
        if file.parent != place or not PICTURE.fullmatch(name) or not file.is_file():
            raise ValueError(
                f"the picture {file} is no .png or .svg file in the context's folder; its name has "
                "letters, digits, dots, dashes and underscores only"
            )


def total_of(measurement: Measurement, values: Mapping[str, Tensor]) -> float:
    """The number that a measurement makes of its values, each counted once."""
    first = next(iter(values.values()))
    return float(measurement.value_of(values, torch.ones_like(first)))
