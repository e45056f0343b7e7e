"""Every registered model keeps every promise about correctness; none is left out silently."""

from __future__ import annotations

import functools

import pytest

from arbench.registry.manager import registry
from arbench.testing.conformance import CHECKS, require, run_check, subjects
from arbench.testing.subject import Subject


@functools.cache
def _subjects(model: str) -> dict[str, Subject]:
    return subjects(registry().models[model].load())


def test_models_are_registered() -> None:
    assert registry().models, "no model is registered: is arbench installed with its plugins?"
    failed = [f"{p.name}: {p.problem}" for p in registry().plugins if p.status == "failed"]
    assert not failed


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("model", registry().models)
def test_model_keeps_promise(model: str, check: str) -> None:
    results = [run_check(check, where, subject) for where, subject in _subjects(model).items()]
    notes = list(require(results))
    if all(result.status == "not applicable" for result in results):
        pytest.skip("; ".join(notes))


@pytest.mark.parametrize("model", registry().models)
def test_some_tiny_spec_suits_the_model(model: str) -> None:
    results = [
        run_check("normalisation", where, subject) for where, subject in _subjects(model).items()
    ]
    assert any(result.status == "passed" for result in results)
