"""Suites are found by name, by KIND:NAME and by MODULE:CLASS; one line makes them pytest items."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
from torch import Tensor

from arbench.errors import ConfigError
from arbench.probability.layouts import Layout
from arbench.registry.entries import MeasurementEntry
from arbench.registry.manager import Registered, Registry, registry
from arbench.testing import conformance
from arbench.testing.conformance import CHECKS
from arbench.testing.heads import HEAD_CHECKS
from arbench.testing.subject import ConformanceError
from arbench.testing.suites import all_suites, find_suite, head_suite, model_suite
from arbench.testing.tasks import TASK_CHECKS
from arbench.testing.toys import LinearNetwork

test_registered_head = conformance("head:bernoulli")


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("nade", "model", "nade"),
        ("NADE", "model", "nade"),
        ("model:bernoulli", "model", "bernoulli"),
        ("head:bernoulli", "head", "bernoulli"),
        ("toy-parity", "task", "toy-parity"),
        ("task:toy-parity", "task", "toy-parity"),
        ("table:rows.csv", "task", "table"),
        ("layout", "layout", "layout"),
        ("arbench.testing.toys:TableNetwork", "model", "arbench.testing.toys:TableNetwork"),
        ("arbench.probability.heads:Gaussian", "head", "arbench.probability.heads:Gaussian"),
        ("arbench_toys.tasks:AR1Task", "task", "arbench_toys.tasks:AR1Task"),
        ("asked:Auroc", "measurement", "asked:Auroc"),
    ],
)
def test_a_name_means_one_thing(text: str, kind: str, name: str) -> None:
    suite = find_suite(text)
    assert (suite.kind, suite.name) == (kind, name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bernoulli", "is a model and a head: write model:bernoulli or head:bernoulli"),
        ("nadee", "did you mean nade"),
        ("model:nadee", "no model is called 'nadee': did you mean nade"),
        ("arbench.testing.toys:all_events", "is no class of networks"),
        ("arbench.testing.toys:Nothing", "has no object 'Nothing'"),
    ],
)
def test_an_unclear_name_is_answered_with_what_would_be_clear(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        find_suite(text)
    assert message in str(raised.value)


def test_all_suites_are_all_that_is_registered() -> None:
    names = [(suite.kind, suite.name) for suite in all_suites()]
    assert {name for kind, name in names if kind == "model"} == {*registry().models}
    assert {name for kind, name in names if kind == "head"} == {*registry().heads}
    assert ("task", "mnist") in names
    assert ("task", "images") not in names, "it needs a path"
    assert ("layout", "layout") in names


def test_trials_are_the_checks_times_the_subjects() -> None:
    suite = model_suite(LinearNetwork)
    needed = {"step_equals_forward", "features", "training_params"}  # it offers none of these
    assert [*suite.checks] == [check for check in CHECKS if check not in needed]
    assert len(list(suite.trials())) == len(suite.checks) * len(suite.subjects)
    assert {trial.check for trial in suite.trials(("causality",))} == {"causality"}


def test_a_head_that_describes_nothing_says_so_in_every_check() -> None:
    def refuses(layout: Layout) -> None:
        raise ValueError("needs 1000 values")

    make: Callable[..., object] = refuses
    results = [trial.run() for trial in head_suite(make).trials()]  # type: ignore[arg-type]
    assert [result.check for result in results] == [*HEAD_CHECKS]
    assert {result.status for result in results} == {"not applicable"}
    assert "needs 1000 values" in results[0].message


def test_a_task_without_its_files_is_not_applicable_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path))
    results = {trial.check: trial.run() for trial in find_suite("uci-dna").trials()}
    assert [*results] == [*TASK_CHECKS]
    assert {result.status for result in results.values()} == {"not applicable"}
    assert "arbench data uci-dna --download" in results["hashes"].message


def test_a_task_is_checked_by_pytest_where_there_is_something_to_check() -> None:
    test_task = conformance("toy-markov")
    test_task("splits_disjoint")
    with pytest.raises(pytest.skip.Exception, match="the task has no source files"):
        test_task("hashes")


def test_a_measurement_is_found_by_name_and_one_that_is_not_installed_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offered(name: str, target: str, extra: str | None) -> Registered[MeasurementEntry]:
        entry = MeasurementEntry(name=name, measurement=target, extra=extra)
        return Registered(entry, "asked", "never-heard-of-it", "1")

    offers = Registry([offered("auroc", "asked:Auroc", None), offered("lost", "lost:Lost", "all")])
    for place in ("arbench.testing.suites.registry", "arbench.measure.opening.registry"):
        monkeypatch.setattr(place, lambda: offers)
    for text in ("auroc", "measurement:AUROC"):
        assert (find_suite(text).kind, find_suite(text).name) == ("measurement", "auroc")
    assert [suite.name for suite in all_suites()] == ["layout", "auroc"]
    with pytest.raises(ConfigError, match="did you mean auroc"):
        find_suite("aurok")


def test_a_name_takes_no_options() -> None:
    with pytest.raises(ConfigError, match="give the class itself"):
        conformance("nade", hyperparameters={"hidden": 3})


class Leaky(LinearNetwork):
    """Sees the site whose turn it is, and says that this is meant."""

    known_failures: ClassVar = {"causality": "I like it", "causalty": "and cannot spell"}

    def forward(self, sites: Tensor) -> Tensor:
        return super().forward(sites) + 0.5 * sites


class Modest(LinearNetwork):
    """Declares a weakness that it has not."""

    known_failures: ClassVar = {"influence": "I thought so"}


def test_what_makes_a_number_wrong_cannot_be_declared() -> None:
    suite = model_suite(Leaky)
    results = [trial.run() for trial in suite.trials(("causality",))]
    assert {result.status for result in results} == {"failed", "not applicable"}
    faults = {result.check: result.message for result in suite.false_declarations(results)}
    assert faults == {
        "causality": "only influence and splits_disjoint may be declared, not 'causality'",
        "causalty": "only influence and splits_disjoint may be declared, not 'causalty'",
    }


def test_a_declared_failure_that_never_occurs_is_a_failure() -> None:
    suite = model_suite(Modest)
    results = [trial.run() for trial in suite.trials(("influence",))]
    (fault,) = suite.false_declarations(results)
    assert fault.message.startswith("is declared to fail, and never does")
    assert suite.false_declarations([]) == []  # nothing was tried
    with pytest.raises(ConformanceError, match="influence, known_failures: is declared to fail"):
        conformance(Modest)("influence")
