"""All pairs at once have the tests that every pair has alone."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from torch import Tensor

from arbench.measure.measurement import Measurement
from arbench.measure.statistics.differences import (
    difference_of,
    recipes_difference_of,
    sides_by,
    weights_difference_of,
)
from arbench.measure.statistics.paired import PairedDifference, paired_difference
from arbench.measure.statistics.pairs import Sides, paired_tests
from arbench.measure.statistics.seeds import recipes_difference

LEAST = 1e-12  # below it a p-value is given as 0
GENERATOR = torch.Generator().manual_seed(0)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def p_values(sides: Sides) -> dict[tuple[int, int], float]:
    """The signed p-value of every pair."""
    found = {}
    for rows, columns, block in paired_tests(sides, LEAST, 1.0):
        for i, j in block.isfinite().nonzero().tolist():
            pair = int(rows[i]), int(columns[j])
            assert pair not in found
            found[pair] = block[i, j].item()
    return found


def assert_is(p_value: float, expected: PairedDifference) -> None:
    """A signed p-value is that of this difference, 0 standing for what lies below `LEAST`."""
    assert math.copysign(1, p_value) == math.copysign(1, expected.nats)
    assert abs(p_value) == pytest.approx(expected.p_value, rel=1e-9, abs=LEAST)


def alone(a: Tensor, b: Tensor, groups: Tensor | None) -> PairedDifference:
    if min(len(a), len(b)) >= 3:
        return recipes_difference(a, b, groups=groups)
    return paired_difference(a.mean(0), b.mean(0), groups=groups)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("most_seeds", [1, 4])
def test_all_pairs_at_once_are_each_pair_alone(
    grouped: bool, most_seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results near each other and far apart, twins among them, in several blocks."""
    monkeypatch.setattr("arbench.measure.statistics.pairs._BLOCK", 5)
    groups = torch.arange(300) // 7 if grouped else None
    hard = 20 * noise(300) - 80  # the events have their difficulty in common
    seeds = []
    for place in range(13):
        apart = noise(300) * 10.0 ** -(place % 4) - 0.02 * place
        each = hard + apart + 0.01 * noise(1 + place % most_seeds, 300)
        seeds.append(each)
    wild = hard + 20 * noise(1, 300)  # and its twin, whose difference all digits are needed for
    seeds += [wild, wild + 4e-4 * noise(1, 300) - 1e-4]
    seeds += [seeds[3].clone(), seeds[4] + 1e-9, seeds[5] - 0.5]  # a copy, rounding, a shift
    found = p_values(Sides.of_means(seeds, groups))
    assert {*found} == {*combinations(range(18), 2)}
    for (a, b), p_value in found.items():
        expected = alone(seeds[a], seeds[b], groups)
        assert_is(p_value, expected)


def test_p_values_that_decide_nothing_are_0_or_1() -> None:
    seeds = [noise(1, 50) - 0.1 * place for place in range(8)]
    sides = Sides.of_means(seeds, None)
    exact = p_values(sides)
    for rows, columns, block in paired_tests(sides, 0.01, 0.2):
        for i, j in block.isfinite().nonzero().tolist():
            p_value, given = exact[int(rows[i]), int(columns[j])], block[i, j].item()
            assert math.copysign(1, given) == math.copysign(1, p_value)
            if 0.01 < abs(p_value) <= 0.2:
                assert given == p_value
            elif abs(p_value) <= 0.01:
                assert abs(given) <= 0.01
            else:
                assert abs(given) > 0.2


def test_too_few_groups_are_not_tested() -> None:
    seeds = [noise(1, 45) - place for place in range(3)]
    assert not p_values(Sides.of_means(seeds, torch.arange(45) // 5))  # 9 of them
    assert p_values(Sides.of_means(seeds, torch.arange(45) // 4))


class Ratio(Measurement):
    """The sum of one value over that of another."""

    name, version, unit, better = "ratio", "1", "share", "lower"

    def measure(self, *_: object) -> None: ...  # type: ignore[override]

    def value_of(self, values, weights) -> float:  # type: ignore[no-untyped-def]
        return ((values["a"] @ weights) / (values["b"] @ weights)).item()


def test_numbers_that_are_no_means_are_compared_as_each_pair_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("arbench.measure.statistics.differences.NUM_RESAMPLES", 60)
    groups, below = torch.arange(60) // 4, 3 + noise(60).abs()
    results = [
        [{"a": below + noise(60) + 0.3 * place, "b": below} for _ in range(1 + 2 * (place % 2))]
        for place in range(5)
    ]
    broken = {"a": below, "b": below * torch.nan}
    sides, kept = sides_by(Ratio(), [*results[:2], [broken], *results[2:]], groups)
    assert kept == [0, 1, 3, 4, 5]
    assert sides is not None
    for (a, b), p_value in p_values(sides).items():
        of_recipes = min(len(results[a]), len(results[b])) >= 3
        differ = recipes_difference_of if of_recipes else weights_difference_of
        expected = differ(Ratio(), results[a], results[b], groups, num_resamples=60)
        assert_is(p_value, expected)
    first = difference_of(Ratio(), results[0][0], results[2][0], groups, num_resamples=60)
    assert first.nats > 0  # lower is better
