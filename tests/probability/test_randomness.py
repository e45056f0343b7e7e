"""Tests of keyed randomness."""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy.stats import chisquare

from arbench.probability.randomness import random_order, uniforms


def test_uniforms_are_numpys_own_doubles() -> None:
    """The same numbers that `Generator.random` gives today, made from the promised raw stream."""
    today = np.random.Generator(np.random.PCG64([3, 1])).random(20)
    np.testing.assert_array_equal(uniforms(20, 3, 1), today)


def test_a_random_order_is_the_order_of_the_uniforms() -> None:
    order = random_order(50, 7)
    assert sorted(order) == list(range(50))
    assert (np.diff(uniforms(50, 7)[order]) > 0).all()


def test_all_orders_are_equally_likely() -> None:
    counts = Counter(tuple(random_order(3, seed)) for seed in range(6000))
    assert len(counts) == 6
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_orders_of_different_keys_differ() -> None:
    assert len({tuple(random_order(20, 1, key)) for key in range(100)}) == 100
