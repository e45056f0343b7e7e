"""The linear probe: against scikit-learn's own pipeline, and as a measurement."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from arbench import ConfigError, Labels, Reporter, Split, open_run, run
from arbench.api import measure_run
from arbench.data.dataset import Dataset
from arbench.hub.snapshots import copy_run
from arbench.measure.context import Handed
from arbench.runs.record.record import Record
from arbench.testing import conformance
from arbench_mnist.mini import MiniMNIST
from arbench_probe.measurement import Probe
from arbench_probe.question import Question, draws, raw
from arbench_probe.regression import STRENGTHS, Inputs, probed

pytest.importorskip("sklearn")
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

test_conformance = conformance("probe")
SETTINGS = "probe?num_draws=2&num_events=500"


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def clouds(seed: int, num_inputs: int = 30, sizes: tuple[int, ...] = (300, 200, 400)) -> Any:
    """Three overlapping clouds of points in splits, float32, and their classes."""
    made = np.random.default_rng(seed)
    middles = 0.3 * made.normal(size=(3, num_inputs))
    classes = [made.integers(3, size=size) for size in sizes]
    points = [
        ((middles[each] + made.normal(size=(len(each), num_inputs))) * 5 + 40).astype(np.float32)
        for each in classes
    ]
    return points, classes


@pytest.mark.parametrize("seed", range(4))
def test_a_probe_is_what_scikit_learn_makes_of_the_best_strength(seed: int) -> None:
    (train, validation, test), classes = clouds(seed)
    told, strength = probed(Inputs(train, validation, test, *classes[:2]))
    losses, pipelines = [], []
    for each in STRENGTHS:
        model = LogisticRegression(C=each, tol=1e-8, max_iter=10_000)
        pipelines.append(make_pipeline(StandardScaler(), model))
        pipelines[-1].fit(train.astype(float), classes[0])
        losses.append(log_loss(classes[1], pipelines[-1].predict_proba(validation)))
    best = int(np.argmin(losses))
    assert strength == STRENGTHS[best]
    assert 0 < best < len(STRENGTHS) - 1
    assert np.array_equal(told, pipelines[best].predict(test))
    assert (told == classes[2]).mean() > 0.6


def test_scales_shifts_and_constant_inputs_change_nothing() -> None:
    (train, validation, test), classes = clouds(4)
    first = probed(Inputs(train, validation, test, *classes[:2]))
    scales = np.geomspace(1e-3, 1e3, 30)
    moved = [
        np.column_stack([each * scales + 3, np.full(len(each), 7.0)]).astype(np.float32)
        for each in (train, validation, test)
    ]
    again = probed(Inputs(*moved, *classes[:2]))
    assert again[1] == first[1]
    assert (again[0] == first[0]).mean() > 0.99


def test_what_test_holds_decides_nothing() -> None:
    (train, validation, test), classes = clouds(5)
    first, strength = probed(Inputs(train, validation, test, *classes[:2]))
    few = np.concatenate((test[:5], 1e3 * test[5:9]))
    again, same = probed(Inputs(train, validation, few, *classes[:2]))
    assert same == strength
    assert np.array_equal(again[:5], first[:5])


def test_a_class_that_no_train_event_has_is_told_wrong_and_breaks_nothing() -> None:
    (train, validation, test), classes = clouds(6)
    known = classes[0] < 2
    told, _ = probed(Inputs(train[known], validation, test, classes[0][known], classes[1]))
    assert set(told) == {0, 1}


def test_draws_are_disjoint_and_a_function_of_the_size_alone() -> None:
    rows = draws(50, 12, 3)
    assert rows.shape == (3, 12)
    assert len(rows.unique()) == 36
    assert rows.max() < 50
    assert torch.equal(rows, draws(50, 12, 3))
    assert torch.equal(rows[:2], draws(50, 12, 2))
    assert draws(50, 12, 9).shape == (4, 12)
    assert draws(50, 80, 3).sort().values.tolist() == [list(range(50))]


def test_the_same_events_in_another_form_are_asked_about_in_the_same_rows() -> None:
    dataset = Dataset(MiniMNIST())
    handed = Handed(dataset, "probe", Probe.reads)
    question = Question.of(handed, 200, 3)
    assert torch.equal(question.classes[0], dataset.labels("train").values[question.rows])
    assert torch.equal(question.train, dataset.split("train").events[question.rows.flatten()])
    validation = dataset.split("validation").events[question.validation_rows]
    assert torch.equal(question.validation, validation)
    other = question.in_form(lambda name: Split(3 + dataset.split(name).events))
    for form in ("train", "validation", "test"):
        assert torch.equal(getattr(other, form), 3 + getattr(question, form))
    few = replace(question, rows=question.rows[:1], train=question.train[:200])
    few = replace(few, classes=(question.classes[0][:1], *question.classes[1:]))
    first = few.answers(raw, lambda fraction, note: None)
    doubled = few.answers(lambda events: 2 * raw(events), lambda fraction, note: None)
    assert torch.equal(first["classes"], doubled["classes"])


@pytest.mark.parametrize("groups", [None, torch.arange(600) // 2])
def test_errors_are_over_groups(groups: Tensor | None) -> None:
    """Of pairs that are right or wrong together the error is that of half as many events."""
    right = (torch.rand(300) < 0.8).double().repeat_interleave(2)
    row = Probe()._row("", right, groups)
    independent = 600 if groups is None else 300
    expected = 100 * math.sqrt(right.mean() * (1 - right.mean()) / (independent - 1))
    assert row.value == pytest.approx(100 * right.mean().item())
    assert row.error == pytest.approx(expected, rel=0.08)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    """A run of NADE on mnist-mini, with a probe of 500 events."""
    folder = tmp_path_factory.mktemp("probe") / "nade"
    copy_run(open_run("mnist-mini/nade").folder, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARBENCH_CACHE", str(folder.parent / "cache"))
        patch.delenv("ARBENCH_DATA", raising=False)
        return folder, measure_run(folder, SETTINGS)


def test_baselines_are_made_once_per_dataset(
    measured: tuple[Path, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, record = measured

    def never(events: Tensor) -> Tensor:
        raise AssertionError("made again")

    monkeypatch.setenv("ARBENCH_CACHE", str(folder.parent / "cache"))
    monkeypatch.setattr("arbench_probe.measurement.raw", never)
    copy_run(open_run("mnist-mini/nade").folder, tmp_path / "again")
    again = measure_run(tmp_path / "again", SETTINGS)
    assert again.measurements[SETTINGS].rows == record.measurements[SETTINGS].rows
    assert again.measurements[SETTINGS].baselines == record.measurements[SETTINGS].baselines


def test_a_run_with_a_probe(measured: tuple[Path, Record]) -> None:
    folder, record = measured
    probe = record.measurements[SETTINGS]
    values = {row.case: row for row in [*probe.rows, *probe.baselines]}
    untrained = values["features of the untrained network"]
    raw_row, number = values["raw pixels"], values["test"]
    assert number.value > 85
    assert number.error == pytest.approx(
        math.sqrt(number.value * (100 - number.value) / 1000), rel=0.25
    )
    for case, other in (("features of the untrained network", untrained), ("raw pixels", raw_row)):
        gain = values[f"gain over {case}"]
        assert gain.unit == "points"
        assert gain.value == pytest.approx(number.value - other.value)
        assert gain.value > 3 * gain.error
    details = probe.details
    assert (details["num_events"], details["num_validation"], details["num_features"]) == (
        *(500, 500),
        300,
    )
    assert np.mean(details["draws"]["features"]) == pytest.approx(number.value)
    confusion = np.array(details["confusion"])
    assert confusion.sum(1).tolist() == [200] * 10  # 100 test events of a class, twice
    assert 100 * np.trace(confusion) / 2000 == pytest.approx(number.value)
    assert set(probe.opened) == {"labels:train", "labels:validation", "labels:test"} | {
        "artifact:raw pixels, 2 x 500 train events"
    }
    assert all((folder / picture).stat().st_size > 5000 for picture in probe.pictures)


def test_validation_is_looked_at_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first events alone may be of one class: some data sets are ordered."""
    monkeypatch.setattr("arbench_probe.question._MOST_VALIDATION", 100)
    dataset = Dataset(MiniMNIST())
    question = Question.of(Handed(dataset, "probe", Probe.reads), 200, 1)
    split = dataset.split("validation")
    assert question.validation_rows.tolist() == [row * len(split) // 100 for row in range(100)]
    chosen = dataset.labels("validation").values[question.validation_rows]
    assert torch.equal(question.classes[1], chosen)
    again = question.in_form(lambda name: Split(3 + dataset.split(name).events))
    assert torch.equal(again.validation, 3 + split.events[question.validation_rows])


def test_what_has_no_features_or_one_kind_of_events_is_refused(tmp_path: Path) -> None:
    options: Any = {"task": "mnist-mini", "epochs": 1, "limit": 40, "reporter": Reporter()}
    run(model="bernoulli", out=tmp_path / "floor", **options)
    with pytest.raises(ConfigError, match="probe needs features of events"):
        measure_run(tmp_path / "floor", "probe")

    class Alike(MiniMNIST):
        def load_labels(self, split: Any) -> Labels:
            labels = super().load_labels(split)
            return Labels(0 * labels.values, labels.names)

    handed = Handed(Dataset(Alike()), "probe", Probe.reads)
    said = Probe().refuses(None, handed)  # type: ignore[arg-type]
    assert said == "the 3,500 train events of a probe are all of one kind"


@pytest.mark.parametrize(
    ("name", "said"),
    [("names/lstm", "probe reads labels, and names has none"), ("mnist/fvsbn", "needs features")],
)
def test_a_shared_run_is_refused_before_data_are_read_or_a_copy_is_made(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARBENCH_DATA", raising=False)
    with pytest.raises(ConfigError, match=said):
        measure_run(name, "probe")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [{"num_events": 1}, {"num_draws": 0}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Probe(**settings)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nade_tells_digits_better_than_their_pixels_and_its_untrained_twin(
    data_dir: Path, tmp_path: Path
) -> None:
    copy_run(open_run("mnist/nade").folder, tmp_path / "nade")
    probe = measure_run(tmp_path / "nade", "probe").measurements["probe"]
    values = {row.case: row.value for row in [*probe.rows, *probe.baselines]}
    assert values["test"] >= 92.5
    assert values["gain over features of the untrained network"] >= 2
    assert values["gain over raw pixels"] >= 2
    assert "raw pixels of mnist-gray" in values
