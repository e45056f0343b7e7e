"""The checks of a measurement.

In a plugin's own tests, one line makes one pytest item per check:

    test_conformance = conformance("my-measurement")  # or conformance(MyMeasurement)
"""

from __future__ import annotations

import contextlib
import functools
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.data.tasks import SPLITS
from arbench.errors import PluginError
from arbench.files.canonical import canonical_json
from arbench.measure.asking import Measuring, total_of
from arbench.measure.context import tensors_sha256
from arbench.measure.measurement import ROUNDING_SHARE, Measured, Measurement
from arbench.measure.opening import NEEDS, contract_fault
from arbench.probability.density import Density
from arbench.probability.randomness import keyed_generator
from arbench.testing.generators import other_global_generators
from arbench.testing.offers import OFFERS, Offer, OfferingDensity
from arbench.testing.subject import ConformanceError, NotApplicableError

_FEW_RESAMPLES = 20
_UNUSUAL_SEED = 20_531  # whoever seeds a global generator takes another one


@dataclass(frozen=True, eq=False)
class MeasurementSubject:
    """One measurement on one tiny dataset.

    Args:
        measurement: the class; its `tiny_settings` make it quick.
        offer: the dataset, and the densities to ask about.
    """

    measurement: type[Measurement]
    offer: Offer

    def make(self) -> Measurement:
        """A new one, with its tiny settings."""
        return self.measurement(**self.measurement.tiny_settings)

    def density(self) -> OfferingDensity:
        """One that offers what the measurement says it needs, and nothing else."""
        return self.offer.density(self.measurement.needs)

    def answer(self, *, seed: int = 0) -> Measured:
        """What a new one answers; whatever it does to others is undone.

        Raises:
            NotApplicableError: if it refuses the dataset.
        """
        with _undone():
            return self.ask(self.density(), self.offer.dataset(), seed)

    def ask(self, density: OfferingDensity, dataset: Dataset, seed: int = 0) -> Measured:
        """What a new one answers about these.

        Raises:
            NotApplicableError: if it refuses them.
        """
        measurement = self.make()
        with tempfile.TemporaryDirectory() as folder:
            measuring = self.measuring(density, dataset, folder=Path(folder), seed=seed)
            if refused := measuring.refusal(measurement):
                raise NotApplicableError(refused)
            return measuring.ask(measurement)[1]

    @functools.cached_property
    def first(self) -> Measured:
        """What the first of them answered, for checks that only look at it.

        Raises:
            NotApplicableError: if it refuses the dataset, or fails, which is what `check_answers`
                is about.
        """
        try:
            return self.answer()
        except PluginError as error:
            raise NotApplicableError("it gives no answer; see the check `answers`") from error

    def measuring(
        self, density: Density, dataset: Dataset, *, folder: Path = Path(), seed: int = 0
    ) -> Measuring:
        """Through which to ask about these; elsewhere are a dataset and a density of the offer."""

        def another(name: str) -> tuple[Density, str, str]:
            return self.offer.density(NEEDS), "another", "0" * 64

        return Measuring(
            density,
            dataset,
            subject="the density",
            seed=seed,
            folder=folder,
            load_density=another,
            open_dataset=lambda name: self.offer.dataset(),
            cache=None,
            num_resamples=_FEW_RESAMPLES,
        )


def check_contract(subject: MeasurementSubject) -> None:
    """Name, version, unit and direction are stated; what it reads and needs are known names.

    Its settings are keywords with defaults of JSON, and its tiny settings are some of them.

    Raises:
        ConformanceError: with what is wrong.
    """
    if fault := contract_fault(subject.measurement):
        raise ConformanceError(fault)
    try:
        subject.make()
    except (TypeError, ValueError) as error:
        raise ConformanceError(f"it cannot be made with its tiny_settings: {error}") from error


def check_refuses(subject: MeasurementSubject) -> None:
    """It refuses with a sentence, or not at all, and the core refuses what it says it needs.

    Raises:
        ConformanceError: if `refuses` returns something else, or what is lacking goes unseen.
    """
    measurement, dataset = subject.make(), subject.offer.dataset()
    for need in measurement.needs:
        without = subject.density().without(need)
        found = subject.measuring(without, dataset).refusal(measurement)
        if not found or need not in found:
            raise ConformanceError(f"a density without {need} is not refused: {found!r}")
    found = subject.measuring(subject.density(), dataset).refusal(measurement)
    if found is not None and not (isinstance(found, str) and found.strip()):
        raise ConformanceError(f"refuses returned {found!r}, expected a sentence or None")
    if found is None and any(read.startswith("labels:") for read in measurement.reads):
        unlabelled = subject.offer.without_labels()
        found = subject.measuring(subject.density(), unlabelled).refusal(measurement)
        if not found or "labels" not in found:
            raise ConformanceError(f"a task without labels is not refused: {found!r}")


def check_answers(subject: MeasurementSubject) -> None:
    """It answers with what it says it reads and needs, and its number is made of its values.

    The density offers what `needs` names alone, and the dataset hands over what `reads` names.
    The first row is what `value_of` makes of the values, in the unit and direction stated; values
    over a split are one for each event.

    Raises:
        ConformanceError: with what it asks for, or what is wrong with its answer.
    """
    try:
        measured = subject.answer()
    except PluginError as error:
        raise ConformanceError(str(error)) from error
    if measured.values and measured.number.error is None and measured.num_groups > 1:
        raise ConformanceError("its number has no standard error, over more than one group")


def check_deterministic(subject: MeasurementSubject) -> None:
    """Asked twice, with one seed, it answers the same to the bit, whatever was drawn before.

    Raises:
        ConformanceError: with what differs.
        NotApplicableError: if it says that it is not reproducible.
    """
    if not subject.measurement.reproducible:
        raise NotApplicableError("it says that it is not reproducible")
    first = subject.first
    with other_global_generators():
        second = subject.answer()
    if (fault := _difference(first, second)) is not None:
        raise ConformanceError(
            f"asked twice with one seed, {fault}: draw from context.generator alone, or state "
            "reproducible = False"
        )


def check_reweighting(subject: MeasurementSubject) -> None:
    """`value_of` counts an event as often as its weight says.

    Of weights 0, 1 and 2 it makes what it makes of the events left out, kept and repeated; only
    the ratios of weights matter, and not the order of events that are not those of a stream.

    Raises:
        ConformanceError: with both numbers.
        NotApplicableError: if there are no values.
    """
    measurement, measured = subject.make(), subject.first
    if not measured.values:
        raise NotApplicableError("it keeps no values")
    count = measured.num_values
    weights = torch.randint(3, (count,), generator=keyed_generator(0, "weights", count))
    weighted = measurement.value_of(dict(measured.values), weights.double())
    _require_same(
        weighted,
        _of(measurement, measured.values, lambda v: v.repeat_interleave(weights)),
        "of weights 0, 1 and 2",
        "of the events left out, kept and repeated",
    )
    tripled = measurement.value_of(dict(measured.values), 3.0 * weights.double())
    _require_same(tripled, weighted, "of weights three times as large", "of the weights")
    if subject.offer.dataset().windows is None or measured.index not in SPLITS:
        order = torch.randperm(count, generator=keyed_generator(0, "order", count))
        _require_same(
            _of(measurement, measured.values, lambda v: v[order]),
            total_of(measurement, measured.values),
            "of the events in another order",
            "of their own",
        )


def check_leaves_alone(subject: MeasurementSubject) -> None:
    """Weights, modes, events and the global random state are afterwards what they were.

    Raises:
        ConformanceError: with what was changed.
    """
    density, dataset = subject.density(), subject.offer.dataset()
    with _undone():
        torch.manual_seed(_UNUSUAL_SEED)
        np.random.seed(_UNUSUAL_SEED)
        random.seed(_UNUSUAL_SEED)
        before = _surroundings(density, dataset)
        subject.ask(density, dataset)
        after = _surroundings(density, dataset)
    for name, value in before.items():
        if after[name] != value:
            raise ConformanceError(f"it changes {name}: leave it as it was, or work on a copy")


MEASUREMENT_CHECKS: dict[str, Callable[[MeasurementSubject], None]] = {
    "contract": check_contract,
    "refuses": check_refuses,
    "answers": check_answers,
    "deterministic": check_deterministic,
    "reweighting": check_reweighting,
    "leaves_alone": check_leaves_alone,
}


def measurement_subjects(
    measurement: type[Measurement], offers: Mapping[str, Offer] = OFFERS
) -> dict[str, MeasurementSubject]:
    """A measurement on every tiny dataset, by name."""
    return {name: MeasurementSubject(measurement, offer) for name, offer in offers.items()}


def _of(
    measurement: Measurement, values: Mapping[str, Tensor], change: Callable[[Tensor], Tensor]
) -> float:
    return total_of(measurement, {name: change(each) for name, each in values.items()})


def _require_same(found: float, expected: float, what: str, other: str) -> None:
    if not abs(found - expected) <= 10 * ROUNDING_SHARE * max(1.0, abs(expected)):
        raise ConformanceError(f"value_of {what} is {found!r}, and {expected!r} {other}")


def _difference(first: Measured, second: Measured) -> str | None:
    """What of two answers differs; None if nothing does."""
    if first.values.keys() != second.values.keys():
        return "it keeps other values"
    for name, values in first.values.items():
        other = second.values[name]
        if values.shape != other.shape:
            return f"{name!r} has {len(values):,} values and then {len(other):,}"
        if not torch.equal(values, other):
            place = int((values != other).nonzero()[0])
            return f"{name!r} of {first.index} {place} is {values[place]} and then {other[place]}"
    if _bytes_of(first.groups) != _bytes_of(second.groups):
        return "the groups differ"
    for kind in ("rows", "baselines"):
        rows = [[asdict(row) for row in getattr(each, kind)] for each in (first, second)]
        for a, b in zip(*rows, strict=False):
            if a != b:
                return f"a row is {a} and then {b}"
        if len(rows[0]) != len(rows[1]):
            return f"there are {len(rows[0])} {kind} and then {len(rows[1])}"
    if canonical_json(dict(first.details)) != canonical_json(dict(second.details)):
        return "the details differ"
    return None


def _surroundings(density: OfferingDensity, dataset: Dataset) -> dict[str, Any]:
    """What a measurement has to leave alone, by what messages call it."""
    model = density.model
    found: dict[str, Any] = {
        "the weights of the density": tensors_sha256(model.state_dict()),
        "the gradients of the density": [
            (weight.requires_grad, _bytes_of(weight.grad)) for weight in model.parameters()
        ],
        "the mode of the density": [module.training for module in model.modules()],
        "torch's global generator": _bytes_of(torch.get_rng_state()),
        "numpy's global generator": repr(np.random.get_state()),
        "Python's global generator": random.getstate(),
        "whether gradients are on": torch.is_grad_enabled(),
        "the default dtype": torch.get_default_dtype(),
    }
    for name in SPLITS:
        split = dataset.split(name)
        kept = {"events": split.events, "scored": split.scored, "groups": split.groups}
        tensors = {key: tensor for key, tensor in kept.items() if tensor is not None}
        found[f"the {name} split"] = tensors_sha256(tensors)
    return found


def _bytes_of(tensor: Tensor | None) -> bytes | None:
    return None if tensor is None else tensor.contiguous().numpy().tobytes()


@contextlib.contextmanager
def _undone() -> Iterator[None]:
    """Whatever is changed within of what everybody shares is afterwards what it was."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    gradients, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
            torch.set_grad_enabled(gradients)
            torch.set_default_dtype(dtype)
