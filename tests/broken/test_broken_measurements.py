"""Wrong measurements, each refused by the check that is meant for it."""

# The contract of each method is that of the class it breaks.

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from asked import Auroc, Cost, Mean, Ratio
from torch import Tensor, nn

from arbench import Context, Density, Features, Handed, Impossible, Measured, Measurement
from arbench.testing import conformance
from arbench.testing.measurements import MEASUREMENT_CHECKS
from arbench.testing.offers import OFFERS
from arbench.testing.subject import ConformanceError
from arbench.testing.suites import measurement_suite

test_ratio = conformance(Ratio)


class Ones(Measurement):
    """The mean of samples: of nothing but samples."""

    name, version = "ones", "1"
    unit = "values"
    better = "higher"
    reads = ()
    needs = ("sample",)

    def drawn(self, density: Density, context: Context) -> Tensor:
        return density.sample(50, generator=context.generator("samples"))

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        drawn = self.drawn(density, context).double().flatten(1).mean(1)
        return self.measured({"mean": drawn}, index="samples")


class Probe(Measurement):
    """The accuracy of a linear classifier over features."""

    name, version = "probe", "1"
    unit = "accuracy"
    better = "higher"
    reads = ("train", "labels:train", "test", "labels:test")
    needs = ("features",)
    tiny_settings = {"num_steps": 20}  # noqa: RUF012

    def __init__(self, *, num_steps: int = 1000) -> None:
        self.num_steps = num_steps

    def classifier(self, num_inputs: int, context: Context) -> nn.Linear:
        linear = nn.Linear(num_inputs, 3, dtype=torch.float64)
        for weight in linear.parameters():
            weight.data.normal_(generator=context.generator("weights"))
        return linear

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        assert isinstance(density, Features)
        inputs = density.features(dataset.split("train").events)
        kinds = dataset.labels("train").values
        with torch.random.fork_rng(devices=[]):
            linear = self.classifier(inputs.shape[1], context)
        optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
        for _ in range(self.num_steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(linear(inputs), kinds).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        guessed = linear(density.features(dataset.split("test").events)).argmax(1)
        return self.measured({"right": (guessed == dataset.labels("test").values).double()})


class Once(Mean):
    """A number without values, such as a size."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        return Measured([self.row("test", 3.0)])


test_ones, test_probe, test_auroc, test_once = map(conformance, (Ones, Probe, Auroc, Once))


class Unnamed(Mean):
    """Its name holds a space."""

    name = "mean nats"


class Undirected(Mean):
    """Nobody knows whether more of it is better."""

    better = "bigger"  # type: ignore[assignment]


class WrongTiny(Mean):
    """Its tiny settings are none of its settings."""

    tiny_settings = {"num_steps": 3}  # noqa: RUF012


class RefusesWithTrue(Mean):
    """Refuses, and does not say why."""

    def refuses(self, density: Density, dataset: Handed) -> Any:
        return True


class Disowns(Mean):
    """Refuses everything, for a reason that is always so."""

    def refuses(self, density: Density, dataset: Handed) -> str | None:
        return f"{dataset.name} is not to my taste"


class LooksAhead(Mean):
    """Opens a split that it does not say it reads."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        dataset.split("train")
        return super().measure(density, dataset, context)


class LooksAtLabels(Mean):
    """Reads labels without a word."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        dataset.labels("test")
        return super().measure(density, dataset, context)


class TrainLogProbs(Mean):
    """Reads train by way of its log-probabilities."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        return self.measured({"log_prob": context.log_probs("train")}, index="train")


class NeedsMore(Mean):
    """Draws samples, and says that it needs log-probabilities alone."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        density.sample(1)
        return super().measure(density, dataset, context)


class Rounded(Mean):
    """States another number than its values make."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        measured = super().measure(density, dataset, context)
        rows = [self.row("test", round(measured.number.value, 3))]
        return Measured(rows, measured.values)


class WrongUnit(Mean):
    """Says nats and gives bits."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        values = context.log_probs("test")
        return Measured([Ratio().row("test", values.mean().item())], {"log_prob": values})


class SomeEvents(Mean):
    """Values of the first ten events, called those of the split."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        return self.measured({"log_prob": context.log_probs("test")[:10]})


class GlobalDraws(Ones):
    """Samples from the global generator."""

    def drawn(self, density: Density, context: Context) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            return density.sample(50)


class GlobalWeights(Probe):
    """The classifier starts from the global generator."""

    def classifier(self, num_inputs: int, context: Context) -> nn.Linear:
        return nn.Linear(num_inputs, 3, dtype=torch.float64)


class ForgetsWeights(Ratio):
    """A ratio of plain sums."""

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        return float(values["nats"].sum() / values["dims"].sum())


class Total(Mean):
    """A sum: twice the weights, twice the number."""

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        return float(values["log_prob"] @ weights)


class KeepsOrNot(Ratio):
    """Takes a weight for a choice: a repeated event counts once."""

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        kept = (weights > 0).double()
        return float(values["nats"] @ kept / (values["dims"] @ kept))


class FirstHalf(Mean):
    """Depends on where an event is."""

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        fading = weights * torch.linspace(1, 0, len(weights), dtype=torch.float64)
        return float(values["log_prob"] @ fading / fading.sum())


class Seeds(Mean):
    """Seeds what everybody draws from."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        torch.manual_seed(0)
        return super().measure(density, dataset, context)


class SeedsNumpy(Mean):
    """Seeds what numpy draws from."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        np.random.seed(0)
        return super().measure(density, dataset, context)


class SeedsPython(Mean):
    """Seeds what Python draws from."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        random.seed(0)
        return super().measure(density, dataset, context)


class TrainsIt(Mean):
    """Trains the density on while it measures."""

    def measure(self, density: Any, dataset: Handed, context: Context) -> Measured:
        measured = super().measure(density, dataset, context)
        with torch.no_grad():
            next(density.model.parameters()).mul_(0.5)
        return measured


class LeavesGradients(Mean):
    """Leaves gradients in the density."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        split = dataset.split("test")
        density.log_prob(split.events, split.scored).sum().backward()  # type: ignore[no-untyped-call]
        return super().measure(density, dataset, context)


class Scales(Mean):
    """Changes the events in place, for everybody who comes after."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        measured = super().measure(density, dataset, context)
        dataset.split("test").events.zero_()
        return measured


class NoGradients(Mean):
    """Switches gradients off for whoever trains next."""

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        torch.set_grad_enabled(False)
        return super().measure(density, dataset, context)


# The measurement, its repaired twin, the check, and what it must say.
CASES: list[tuple[type[Measurement], type[Measurement], str, str]] = [
    (Unnamed, Mean, "contract", "its name 'mean nats' does not match"),
    (Undirected, Mean, "contract", "better is 'bigger', expected lower or higher"),
    (WrongTiny, Mean, "contract", "it cannot be made with its tiny_settings"),
    (RefusesWithTrue, Mean, "refuses", "refuses returned True, expected a sentence or None"),
    (Disowns, Mean, "answers", "it refuses every tiny dataset: tiny is not to my taste"),
    (LooksAhead, Mean, "answers", "asks for 'train', and says that it reads test"),
    (LooksAtLabels, Auroc, "answers", "asks for 'labels:test', and says that it reads test"),
    (TrainLogProbs, Mean, "answers", "asks for log-probabilities of 'train', and does not say"),
    (NeedsMore, Ones, "answers", "this density offers no sample: is it among the `needs`?"),
    (Rounded, Mean, "answers", "and value_of makes"),
    (WrongUnit, Mean, "answers", "its number is in 'nats/dim', lower is better"),
    (SomeEvents, Mean, "answers", "there are 10 values, and the test split has 60 events"),
    (GlobalDraws, Ones, "deterministic", "asked twice with one seed, 'mean' of samples"),
    (GlobalWeights, Probe, "deterministic", "asked twice with one seed, 'right' of test"),
    (ForgetsWeights, Ratio, "reweighting", "value_of of weights 0, 1 and 2 is"),
    (Total, Mean, "reweighting", "value_of of weights three times as large is"),
    (KeepsOrNot, Ratio, "reweighting", "of the events left out, kept and repeated"),
    (FirstHalf, Mean, "reweighting", "value_of of"),
    (Seeds, Mean, "leaves_alone", "it changes torch's global generator"),
    (SeedsNumpy, Mean, "leaves_alone", "it changes numpy's global generator"),
    (SeedsPython, Mean, "leaves_alone", "it changes Python's global generator"),
    (TrainsIt, Cost, "leaves_alone", "it changes the weights of the density"),
    (LeavesGradients, Mean, "leaves_alone", "it changes the gradients of the density"),
    (Scales, Mean, "leaves_alone", "it changes the test split"),
    (NoGradients, Mean, "leaves_alone", "it changes whether gradients are on"),
]


def results_of(measurement: type[Measurement], check: str) -> list[Any]:
    suite = measurement_suite(measurement, offers={name: OFFERS[name] for name in SOME})
    results = [trial.run() for trial in suite.trials((check,))]
    return results + suite.false_declarations(results)


SOME = ("binary-3x3", "pairs-of-words")


@pytest.mark.parametrize(
    ("measurement", "check", "evidence"),
    [(wrong, check, evidence) for wrong, _, check, evidence in CASES],
)
def test_the_check_that_is_meant_for_it_refuses_it(
    measurement: type[Measurement], check: str, evidence: str
) -> None:
    failures = [each for each in results_of(measurement, check) if each.status == "failed"]
    assert failures
    assert any(evidence in failure.message for failure in failures), failures[0].message


@pytest.mark.parametrize(
    ("measurement", "check"), {(twin, check): None for _, twin, check, _ in CASES}
)
def test_repaired_twin_passes_the_same_check(measurement: type[Measurement], check: str) -> None:
    results = results_of(measurement, check)
    assert {result.status for result in results} == {"passed"}, results


def test_every_check_has_a_measurement_that_it_refuses() -> None:
    assert {check for *_, check, _ in CASES} == {*MEASUREMENT_CHECKS}


def test_a_measurement_on_every_tiny_dataset_says_where_it_means_nothing() -> None:
    found = {r.subject: r for r in (t.run() for t in measurement_suite(Probe).trials(("answers",)))}
    assert found["stream-8"].message == "probe reads labels, and tiny-stream has none"
    assert {found[name].status for name in found if name != "stream-8"} == {"passed"}


@pytest.mark.parametrize("wrong", [NoGradients, Scales, Seeds])
def test_what_it_changes_is_found_after_it_was_asked_for_another_check(
    wrong: type[Measurement],
) -> None:
    before = torch.get_rng_state()
    results = [trial.run() for trial in measurement_suite(wrong).trials()]
    failed = {result.check for result in results if result.status == "failed"}
    assert failed == {"leaves_alone"}
    assert torch.is_grad_enabled()
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_not_reproducible_is_not_asked_twice() -> None:
    class Honest(GlobalDraws):
        reproducible = False

    assert {result.status for result in results_of(Honest, "deterministic")} == {"not applicable"}


def test_a_measurement_that_finds_the_impossible_fails_and_says_what() -> None:
    class Shocked(Mean):
        def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
            raise Impossible("better than the truth")

    with pytest.raises(ConformanceError, match="better than the truth"):
        conformance(Shocked)("answers")
