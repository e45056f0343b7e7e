"""Recipes over seeds: the variance of seeds and of groups kept apart, and coverage as stated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from arbench.measure.statistics.paired import paired_difference
from arbench.measure.statistics.seeds import mean_over_seeds, recipes_difference

Table = NDArray[np.float64]


def tables(
    generator: np.random.Generator,
    num_seeds: int,
    *,
    of_seeds: float,
    of_cells: float,
    of_events: float,
    num_events: int = 200,
) -> tuple[Table, Table]:
    """Two recipes' log-probabilities `(S, N)` that differ by nothing but chance."""
    hardness = generator.normal(0, 10, num_events)

    def recipe() -> Table:
        seeds = generator.normal(0, of_seeds, (num_seeds, 1))
        return hardness + seeds + generator.normal(0, of_cells, (num_seeds, num_events))

    return recipe(), recipe() + generator.normal(0, of_events, num_events)


def coverage(num_pairs: int, num_seeds: int, **deviations: float) -> float:
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(num_pairs):
        a, b = tables(generator, num_seeds, **deviations)  # type: ignore[arg-type]
        low, high = recipes_difference(torch.tensor(a), torch.tensor(b)).interval
        hits += low <= 0 <= high
    return hits / num_pairs


CASES = {
    "seeds": {"of_seeds": 0.1, "of_cells": 0.01, "of_events": 0.01},
    "events": {"of_seeds": 0.01, "of_cells": 0.1, "of_events": 3.0},
    "both": {"of_seeds": 0.2, "of_cells": 1.0, "of_events": 2.0},
    "cells": {"of_seeds": 0.0, "of_cells": 1.0, "of_events": 0.0},
}


@pytest.mark.parametrize("name", CASES)
def test_the_interval_of_recipes_covers(name: str) -> None:
    assert coverage(200, 3, **CASES[name]) >= 0.91


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("name", CASES)
def test_the_interval_of_recipes_covers_in_2000_experiments(name: str, num_seeds: int) -> None:
    # Where nothing but cells varies, three numbers that are all the same are added and taken away.
    most = 0.995 if name == "cells" else 0.975
    assert 0.935 <= coverage(2000, num_seeds, **CASES[name]) <= most


def test_two_seeds_of_one_recipe_are_no_two_recipes() -> None:
    """By events alone they differ beyond doubt; as recipes nobody can tell them apart."""
    generator = np.random.default_rng(2)
    a, b = tables(generator, 4, of_seeds=0.05, of_cells=0.05, of_events=0.0, num_events=10_000)
    singles = [paired_difference(torch.tensor(a[0]), torch.tensor(row)) for row in b]
    assert max(abs(single.z) for single in singles) > 20
    found = recipes_difference(torch.tensor(a), torch.tensor(b))
    assert found.p_value > 0.05
    assert found.error_of_seeds > 10 * found.error_of_groups


def test_the_parts_are_told_apart() -> None:
    """By hand: both errors, from a table and its means."""
    generator = np.random.default_rng(1)
    a, b = tables(generator, 5, of_seeds=0.5, of_cells=0.7, of_events=1.0)
    found = recipes_difference(torch.tensor(a), torch.tensor(b))
    differences = a.mean(0) - b.mean(0)
    assert found.nats == pytest.approx(differences.mean(), rel=1e-9)
    assert found.error_of_groups**2 == pytest.approx(differences.var(ddof=1) / 200)
    of_seeds = sum(table.mean(1).var(ddof=1) / 5 for table in (a, b))
    assert found.error_of_seeds**2 == pytest.approx(of_seeds)
    left = 0.0
    for table in (a, b):
        cells = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
        left += (cells**2).sum() / (4 * 199) / (5 * 200)
    expected = found.error_of_groups**2 + found.error_of_seeds**2 - left
    assert found.standard_error**2 == pytest.approx(expected)
    each = [table.mean(1).var(ddof=1) / 5 for table in (a, b)]
    scatter = found.error_of_groups**4 / 199 + (each[0] ** 2 + each[1] ** 2) / 4
    assert found.degrees == pytest.approx(expected**2 / scatter)


def test_groups_of_one_event_are_events() -> None:
    generator = np.random.default_rng(1)
    a, b = (torch.tensor(t) for t in tables(generator, 3, of_seeds=1, of_cells=1, of_events=1))
    alone, grouped = recipes_difference(a, b), recipes_difference(a, b, groups=torch.arange(200))
    assert grouped.standard_error == pytest.approx(alone.standard_error, rel=1e-12)
    paired = recipes_difference(a, b, groups=torch.arange(200) // 2)
    assert paired.num_groups == 100
    assert paired.error_of_seeds == pytest.approx(alone.error_of_seeds)


def test_fewer_than_three_seeds_are_no_recipe() -> None:
    with pytest.raises(ValueError, match="at least 3 seeds of each, got 3 and 2"):
        recipes_difference(torch.zeros(3, 50), torch.zeros(2, 50))


def test_the_number_of_a_recipe_counts_its_seeds() -> None:
    """Over many experiments, the stated error is the spread of the number, or somewhat more."""
    generator = np.random.default_rng(4)
    means, errors = [], []
    for _ in range(600):
        a, _ = tables(generator, 5, of_seeds=1.0, of_cells=1.0, of_events=0.0)
        own = [float(row.std(ddof=1)) / np.sqrt(200) for row in a]
        mean, error = mean_over_seeds([float(row.mean()) for row in a], own)
        assert error is not None
        means.append(mean)
        errors.append(error)
    found = np.sqrt(np.mean(np.square(errors)))
    assert np.std(means) * 0.95 < found < np.std(means) * 1.1


def test_the_number_of_two_seeds_is_one_of_these_weights() -> None:
    assert mean_over_seeds([1.0, 3.0], [0.5, 0.5]) == (2.0, 0.5)
    assert mean_over_seeds([1.0, 3.0, 2.0], [0.5, None, 0.5]) == (2.0, None)
    mean, error = mean_over_seeds([1.0, 3.0, 2.0], [0.0, 0.0, 0.0])
    assert (mean, error) == (2.0, pytest.approx(np.sqrt(1 / 3)))


def test_what_seeds_and_groups_share_is_over_groups() -> None:
    """Of pairs of events, by hand: cells are the means of a seed in a group."""
    generator = np.random.default_rng(1)
    a, b = tables(generator, 3, of_seeds=0.5, of_cells=2.0, of_events=0.5)
    groups = torch.arange(200) // 2
    found = recipes_difference(torch.tensor(a), torch.tensor(b), groups=groups)
    left = 0.0
    for table in (a, b):
        means = table.reshape(3, 100, 2).mean(2)
        cells = means - means.mean(0) - means.mean(1, keepdims=True) + means.mean()
        left += (cells**2).sum() / (2 * 99) / (3 * 100)
    expected = found.error_of_groups**2 + found.error_of_seeds**2 - left
    assert found.standard_error**2 == pytest.approx(expected)
