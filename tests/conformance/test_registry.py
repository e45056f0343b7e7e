"""Every registered model keeps every promise about correctness; none is left out silently."""

from __future__ import annotations

import functools

import pytest

from arbench.registry.manager import registry
from arbench.testing.conformance import checks_for, require, run_check, subjects
from arbench.testing.subject import Subject


@functools.cache
def _subjects(model: str) -> dict[str, Subject]:
    return subjects(registry().models[model].load())


def test_models_are_registered() -> None:
    assert registry().models, "no model is registered: is arbench installed with its plugins?"
    failed = [f"{p.name}: {p.problem}" for p in registry().plugins if p.status == "failed"]
    assert not failed


@pytest.mark.parametrize(
    ("model", "check"),
    [
        (name, check)
        for name, registered in registry().models.items()
        for check in checks_for(registered.load())
    ],
)
def test_model_keeps_promise(model: str, check: str) -> None:
    for note in require([run_check(check, where, s) for where, s in _subjects(model).items()]):
        print(note)
