"""Tests of keyed randomness."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from scipy.stats import chisquare

from arbench.probability.randomness import (
    derive_seed,
    keyed_generator,
    random_order,
    uniforms,
)


def test_a_key_gives_the_same_numbers_on_every_machine() -> None:
    """What orders, masks, data sets, weights and samples of a seed rest on."""
    assert derive_seed(0, "init") == 3912388711783151084
    assert derive_seed(1, "order", 2) == 2250116526275059154
    assert (uniforms(2, 3, 1) * 2**53).astype(int).tolist() == [2281100934073766, 3667706237847809]
    assert random_order(6, 7).tolist() == [3, 4, 0, 2, 5, 1]


def test_a_keyed_generator_is_torch_s_own_of_the_derived_seed() -> None:
    drawn = torch.rand(5, generator=keyed_generator(1, "order", 2))
    assert torch.equal(
        drawn, torch.rand(5, generator=torch.Generator().manual_seed(2250116526275059154))
    )


def test_every_part_of_a_key_counts() -> None:
    keys = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (0, "a0")]
    assert len({derive_seed(*key) for key in keys}) == len(keys)


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
