"""Asking: what is refused by name, and an answer that is checked and completed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from asked import Auroc, Biased, Cost, Mean, Nats, Plain, Ratio, Text, Words

from arbench import Diverged, Impossible, Measured, PluginError
from arbench.data.dataset import Dataset
from arbench.data.tasks import Task
from arbench.measure.asking import Measuring
from arbench.measure.environment import Section
from arbench.measure.measurement import Measurement
from arbench.measure.result_sections import ResultSection
from arbench.measure.statistics.metrics import NLL


def measuring(density: Any, task: Task, folder: Path = Path()) -> Measuring:
    return Measuring(density, Dataset(task), subject="it", seed=0, folder=folder, cache=None)


def answer(
    measurement: Measurement, folder: Path, density: Any = None, task: Task | None = None
) -> tuple[Measured, Section]:
    asked = measuring(density or Biased(), task or Words(), folder)
    section, measured = asked.ask(measurement)
    return measured, section


class Silent(Biased):
    samplers = ()


@pytest.mark.parametrize(
    ("need", "density", "refused"),
    [
        ("log_prob", Biased(), None),
        ("sample", Biased(), None),
        ("sample", Silent(), "samples (sample), and this density offers none"),
        ("conditionals", Biased(), "mean needs the distribution of every dim (conditionals)"),
        ("reference_path", Biased(), "given those before it (reference_path), and this density"),
        ("features", Biased(), "features of events (features), and this density offers none"),
        ("reinitialise", Biased(), "the same model before training (reinitialise)"),
    ],
)
def test_what_a_density_lacks_is_refused_by_name(
    need: str, density: Biased, refused: str | None
) -> None:
    measurement = type("Needing", (Mean,), {"needs": (need,)})()
    found = measuring(density, Words()).refusal(measurement)
    assert (found is None) == (refused is None)
    assert (refused or "") in (found or "")


def test_a_task_without_labels_is_refused_and_then_the_measurement_is_asked() -> None:
    class Picky(Auroc):
        def refuses(self, density, dataset):  # type: ignore[no-untyped-def]
            return f"{dataset.name} is not to my taste" if self.kind == 7 else None

    density: Any = Biased()
    assert measuring(density, Plain()).refusal(Picky()) == "auroc reads labels, and plain has none"
    assert measuring(density, Words()).refusal(Picky()) is None
    assert measuring(density, Words()).refusal(Picky(kind=7)) == "words is not to my taste"


def test_an_answer_gets_the_groups_of_the_task_and_the_error_over_them(tmp_path: Path) -> None:
    measured, section = answer(Auroc(), tmp_path)
    split = Words().load("test")
    assert torch.equal(measured.groups, split.groups)
    assert measured.num_groups == 20
    ones = [bool(bit) for bit in split.events[:, 0]]
    scores = Biased().log_prob(split.events)
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, first in zip(scores, ones, strict=True)
        for b, second in zip(scores, ones, strict=True)
        if first and not second
    ]
    assert measured.number.value == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    assert 0 < measured.number.error < 0.3
    assert isinstance(section, ResultSection)
    assert list(section.opened) == ["labels:test"]
    cost, _ = answer(Cost(), tmp_path)
    known = NLL.from_log_probs(scores, 4, groups=split.groups)
    assert cost.number.value == pytest.approx(known.nats_per_event, rel=1e-12)
    assert cost.number.error == pytest.approx(known.standard_error_nats, rel=1e-12)
    independent, _ = answer(Cost(), tmp_path, task=Plain())
    assert independent.num_groups == 40


@pytest.mark.parametrize("task", [Words(), Plain(), Text().windows(6, 3)])
def test_the_likelihood_is_one_of_them(task: Task, tmp_path: Path) -> None:
    """Its number and both of its errors are those of the totals, of a stream too."""
    density = Biased(0.7)
    measured, _ = answer(Nats(), tmp_path, density, task)
    split = task.load("test")
    known = NLL.from_log_probs(
        density.log_prob(split.events, split.scored),
        split.scored_dims,
        groups=split.groups,
        is_stream=split.is_stream,
    )
    nats, _, bits = measured.rows
    assert (nats.unit, nats.better) == ("nats", "lower")
    assert nats.value == pytest.approx(known.nats_per_event, rel=1e-12)
    assert nats.error == pytest.approx(known.standard_error_nats, rel=1e-12)
    assert (bits.value, bits.error) == (known.bits_per_dim, known.standard_error_bits_per_dim)
    assert measured.details == {"kind": "exact"}
    assert bool((measured.values["log_prob"] < 0).all())


def test_an_error_that_is_stated_stays_and_no_values_have_none(tmp_path: Path) -> None:
    class Stated(Mean):
        def measure(self, density, dataset, context):  # type: ignore[no-untyped-def]
            return Measured([self.row("test", 3.0, 0.25)])

    class Unknown(Mean):
        def measure(self, density, dataset, context):  # type: ignore[no-untyped-def]
            return Measured([self.row("test", 3.0)])

    assert answer(Stated(), tmp_path)[0].number.error == 0.25
    assert answer(Unknown(), tmp_path)[0].number.error is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m, v: None, "measure returned a NoneType"),
        (lambda m, v: m.measured({"x": v[:-1]}), "39 values, and the test split has 40 events"),
        (lambda m, v: Measured([m.row("test", 1.0)], {"x": v}), "and value_of makes -?[0-9.]+ of"),
        (lambda m, v: Measured([Auroc().row("test", 1.0)]), "the measurement says 'nats', higher"),
        (lambda m, v: Measured([Cost().row("test", 1.0)]), "lower is better; the measurement"),
        (lambda m, v: m.measured({"x": v * float("nan")}), "the value is nan"),
        (lambda m, v: v.no_such_thing, "AttributeError"),
    ],
)
def test_what_is_no_answer_is_the_authors_fault(make: Any, message: str, tmp_path: Path) -> None:
    class Wrong(Mean):
        def measure(self, density, dataset, context):  # type: ignore[no-untyped-def]
            return make(self, context.log_probs("test"))

    with pytest.raises(PluginError, match=message) as raised:
        answer(Wrong(), tmp_path)
    assert "mean failed" in str(raised.value)
    assert "ask its author" in str(raised.value)


@pytest.mark.parametrize("error", [Impossible("better than the truth"), MemoryError("none left")])
def test_what_is_nobodys_fault_passes(error: Exception, tmp_path: Path) -> None:
    class Raising(Mean):
        def measure(self, density, dataset, context):  # type: ignore[no-untyped-def]
            raise error

    with pytest.raises(type(error)):
        answer(Raising(), tmp_path)
    assert issubclass(Impossible, Diverged)


def test_a_number_over_samples_has_an_index_of_its_own(tmp_path: Path) -> None:
    class OfSamples(Mean):
        reads = ()
        needs = ("sample",)

        def measure(self, density, dataset, context):  # type: ignore[no-untyped-def]
            drawn = density.sample(300, generator=context.generator("samples"))
            return self.measured({"ones": drawn.double().mean(1)}, index="samples")

    measured, _ = answer(OfSamples(), tmp_path)
    assert measured.number.value == pytest.approx(0.75, abs=0.05)
    assert measured.number.error == pytest.approx((0.75 * 0.25 / 1200) ** 0.5, rel=0.15)
    assert measured.number.case == "samples"


def test_dropout_is_off_while_it_is_asked(tmp_path: Path) -> None:
    class Module(torch.nn.Module):
        spec, samplers, dtype, kind = Words.spec, (), torch.float64, "exact"
        device = torch.device("cpu")

        def log_prob(self, events, scored=None):  # type: ignore[no-untyped-def]
            assert not self.training
            return Biased().log_prob(events)

    density = Module().train()
    answer(Ratio(), tmp_path, density=density)
    assert density.training


class Kept(Mean):
    """How many of the test events' dims an artifact holds, which was made of what was handed."""

    def measure(self, density, dataset, context):  # type: ignore[no-untyped-def]
        events = dataset.split("test").events
        kept = context.artifact("events", lambda _: {"events": events})["events"]
        assert torch.equal(kept, events)
        return self.measured({"log_prob": context.log_probs("test")})


@pytest.mark.parametrize(
    "datasets",
    [
        (Dataset(Words()), Dataset(Words(), limit=7)),
        (Dataset(Words(), limit=7), Dataset(Words())),
        (Dataset(Text(), context=6, stride=3), Dataset(Text(), context=6, stride=2)),
    ],
)
def test_an_artifact_of_a_part_of_the_data_is_kept_for_that_part(
    datasets: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    assert datasets[0].sha256 == datasets[1].sha256
    for dataset in datasets:
        asked = measuring(Biased(), Words(), tmp_path)
        asked.dataset, asked.cache = dataset, tmp_path
        asked.ask(Kept())
