"""What a seed gives is what it gave: a change is meant, and named in the CHANGELOG, or a fault.

See `golden.py` for what is pinned, and how it is made anew.
"""

from __future__ import annotations

import json

import pytest
from golden import FILE, RECIPES, golden_samples, initial_weights

from arbench.registry.manager import registry

GOLDEN = json.loads(FILE.read_text())


def test_every_model_is_pinned() -> None:
    names = [*registry().models]
    assert [*GOLDEN["samples"]] == [*GOLDEN["trained"]] == names
    # Some models have no weights, and some recipes too many.
    pinned = {recipe.partition("/")[0] for recipe in GOLDEN["initial"]}
    assert pinned == {*names} - {"bernoulli", "boosted-trees", "cpt", "chow-liu", "ppm"}


@pytest.mark.parametrize("model", registry().models)
def test_samples_of_a_seed_are_what_they_were(model: str) -> None:
    found, expected = golden_samples(model), GOLDEN["samples"][model]
    assert found.keys() == expected.keys()
    for kind, samples in expected.items():
        if isinstance(samples, str):
            assert found[kind] == samples, kind
        else:
            assert found[kind] == pytest.approx(samples, abs=2e-5), kind


@pytest.mark.parametrize(("model", "recipe"), RECIPES)
def test_initial_weights_of_a_seed_are_what_they_were(model: str, recipe: str) -> None:
    found, expected = initial_weights(model, recipe), GOLDEN["initial"].get(f"{model}/{recipe}")
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found[0] == expected[0]
    assert found[1:] == pytest.approx(expected[1:], rel=1e-6, abs=1e-6 * expected[1])
