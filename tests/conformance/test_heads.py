"""Every registered head keeps every promise about heads."""

from __future__ import annotations

from typing import Any

import pytest

from arbench.probability.heads import Gaussian, GaussianMixture
from arbench.registry.manager import registry
from arbench.testing import conformance
from arbench.testing.heads import HEAD_CHECKS, head_subjects
from arbench.testing.toys import JointCategorical

test_equal_weights = conformance(GaussianMixture, weights="uniform", num_components=3)
test_joint_categorical = conformance(JointCategorical)


@pytest.mark.parametrize("check", HEAD_CHECKS)
@pytest.mark.parametrize("name", registry().heads)
def test_head_keeps_promise(name: str, check: str) -> None:
    for subject in head_subjects(registry().heads[name].load()).values():
        HEAD_CHECKS[check](subject)


def test_heads_are_tried_wherever_they_fit() -> None:
    names: dict[str, Any] = {
        name: list(head_subjects(offer.load())) for name, offer in registry().heads.items()
    }
    assert names["bernoulli"] == ["binary-2x3", "binary-3x3"]
    assert names["gaussian-mixture"] == ["real-2x2", "real-5"]
    assert {"pixels-1x2", "sequence-5"} < set(names["logistic-mixture"])
    assert list(head_subjects(Gaussian)) == ["real-2x2", "real-5"]
