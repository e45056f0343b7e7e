"""Errors of any number: the mean's by its formula, any other's by weights over groups."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from asked import Auroc, Cost, Mean, Nats, Ratio
from torch import Tensor

from arbench.measure.statistics.differences import difference_of, recipes_difference_of
from arbench.measure.statistics.metrics import NLL
from arbench.measure.statistics.paired import paired_difference
from arbench.measure.statistics.resampling import error_of, group_weights
from arbench.measure.statistics.seeds import recipes_difference
from arbench.measure.statistics.student import t_quantile

Values = dict[str, Tensor]
MakeSet = Callable[[int, int], tuple[Values, Tensor, float]]


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_error_of_a_mean_is_that_of_the_formula() -> None:
    log_probs, groups = noise(0, 100) - 80, torch.arange(100) // 3
    for members in (None, groups):
        known = NLL.from_log_probs(log_probs, 7, groups=members).standard_error_nats
        found = error_of(Mean(), {"log_prob": log_probs, "other": noise(1, 100)}, members)
        assert found == pytest.approx(known, rel=1e-12)


def test_the_error_of_the_mean_of_a_stream_is_over_its_blocks() -> None:
    hard = noise(2, 50).repeat_interleave(40) + 0.1 * noise(3, 2000)
    dims = torch.full((2000,), 8)
    known = NLL.from_log_probs(-hard, dims, is_stream=True)
    assert known.standard_error_nats == error_of(Cost(), {"nats": hard}, None, stream_dims=dims)
    assert known.standard_error_nats > 3 * error_of(Cost(), {"nats": hard}, None)


def test_resampling_comes_to_the_formula_where_there_is_one() -> None:
    """Of a mean that is not known to be one, and of a ratio, which has Cochran's."""

    class Written(Mean):
        def value_of(self, values, weights):  # type: ignore[no-untyped-def]
            return float(values["log_prob"] @ weights / weights.sum())

    log_probs, dims = noise(4, 400) - 8, torch.randint(1, 20, (400,))
    groups = torch.arange(400) // 4
    known = NLL.from_log_probs(log_probs * dims, dims, groups=groups)
    values = {"nats": -log_probs * dims, "dims": dims.double()}
    found = error_of(Ratio(), values, groups)
    assert found == pytest.approx(known.standard_error_nats_per_dim, rel=0.08)
    few = log_probs[:6]  # the correction counts most where groups are few
    found = error_of(Written(), {"log_prob": few}, None, num_resamples=20_000)
    assert found == pytest.approx(error_of(Mean(), {"log_prob": few}, None), rel=0.03)


def test_weights_are_positive_sum_to_the_groups_and_never_change() -> None:
    first, second = list(group_weights(5, 2)), list(group_weights(5, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(*first)
    assert not torch.equal(*group_weights(20_000, 2))  # too many to be drawn at once
    many = torch.stack(list(group_weights(50, 2000)))
    assert bool((many > 0).all())
    torch.testing.assert_close(many.sum(1), torch.full((2000,), 50.0, dtype=torch.float64))
    assert many.var() == pytest.approx(49 / 51, rel=0.03)  # of Dirichlet weights times 50


def test_one_group_has_no_error_and_no_comparison() -> None:
    values = {"nats": noise(5, 9), "dims": torch.ones(9, dtype=torch.float64)}
    together = torch.zeros(9, dtype=torch.int64)
    assert error_of(Ratio(), values, together) is None
    with pytest.raises(ValueError, match="at least two independent groups"):
        difference_of(Ratio(), values, values, together)


def test_a_number_that_some_weights_do_not_have_is_refused() -> None:
    only_one_kind = {"score": noise(6, 9), "is_kind": torch.ones(9, dtype=torch.float64)}
    with pytest.raises(ValueError, match="must give a finite number"):
        error_of(Auroc(), only_one_kind, None)


def ratio_set(seed: int, num_groups: int) -> tuple[Values, Tensor, float]:
    """Groups of 1 to 5 events, of 1 to 9 dims, each group as hard as it is; 2 nats a dim."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 6, (num_groups,), generator=generator)
    groups = torch.arange(num_groups).repeat_interleave(sizes)
    dims = torch.randint(1, 10, (len(groups),), generator=generator).double()
    hard = noise(seed + 10_000, num_groups)[groups] + 0.5 * noise(seed + 20_000, len(groups))
    return {"nats": dims * (2 + 0.5 * hard), "dims": dims}, groups, 2.0


def auroc_set(seed: int, num_groups: int) -> tuple[Values, Tensor, float]:
    """Four events to a group, which is of one kind; scores differ by one unit of their spread."""
    groups = torch.arange(num_groups).repeat_interleave(4)
    is_kind = (groups % 2 == 0).double()
    spread = noise(seed + 30_000, num_groups)[groups] + 0.5 * noise(seed + 40_000, len(groups))
    scores = spread / 1.25**0.5 + is_kind
    return {"score": scores, "is_kind": is_kind}, groups, 0.7602499389065233  # Phi(1 / sqrt 2)


def coverage(measurement: Mean, make: MakeSet, num_sets: int, *, of_events: bool) -> float:
    """The share of sets of 80 groups whose 95 % interval holds the true number."""
    held = 0
    for seed in range(num_sets):
        values, groups, truth = make(seed, 80)
        members = None if of_events else groups
        error = error_of(measurement, values, members, num_resamples=100)
        ones = torch.ones(len(groups), dtype=torch.float64)
        degrees = (len(groups) if of_events else 80) - 1
        half = t_quantile(0.975, degrees) * error
        held += abs(measurement.value_of(values, ones) - truth) <= half
    return held / num_sets


@pytest.mark.parametrize(
    ("measurement", "make"), [(Ratio(), ratio_set), (Auroc(), auroc_set)], ids=["ratio", "auroc"]
)
def test_intervals_of_95_percent_hold_the_truth_as_often_as_they_say(
    measurement: Mean, make: MakeSet
) -> None:
    assert 0.93 <= coverage(measurement, make, 400, of_events=False) <= 0.97
    assert coverage(measurement, make, 100, of_events=True) < 0.90  # were all independent


def test_the_difference_of_means_is_the_paired_one_in_either_direction() -> None:
    a, b, groups = noise(7, 60) - 80, noise(8, 60) - 81, torch.arange(60) // 2
    known = paired_difference(a, b, groups=groups)
    up = difference_of(Mean(), {"log_prob": a}, {"log_prob": b}, groups)
    down = difference_of(Cost(), {"nats": -a}, {"nats": -b}, groups)
    minus = difference_of(Nats(), {"log_prob": a}, {"log_prob": b}, groups)
    for found in (up, down, minus):
        assert (found.value, found.standard_error) == (known.nats, known.standard_error)
        assert (found.p_value, found.num_groups, found.unit) == (known.p_value, 30, "nats")
    assert up.value > 0


def test_the_difference_of_ratios_is_paired_and_positive_where_a_is_better() -> None:
    values, groups, _ = ratio_set(1, 40)
    better = {**values, "nats": values["nats"] - 0.01 * values["dims"]}
    found = difference_of(Ratio(), better, values, groups)
    assert found.value == pytest.approx(0.01)
    assert found.standard_error < 1e-9  # every group is better by as much: pairing removes it
    assert found.p_value < 1e-9
    assert found.has_enough_groups
    back = difference_of(Ratio(), values, better, groups)
    assert back.value == pytest.approx(-0.01)
    same = difference_of(Ratio(), values, values, groups)
    assert (same.z, same.p_value) == (0.0, 1.0)
    rounded = {**values, "nats": values["nats"] * (1 + 1e-8)}  # as on another device
    assert difference_of(Ratio(), values, rounded, groups).z == 0.0


def test_nine_groups_are_not_enough_for_a_verdict() -> None:
    values, groups, _ = auroc_set(2, 9)
    assert not difference_of(Auroc(), values, values, groups).has_enough_groups


def test_what_is_not_on_the_same_events_is_refused() -> None:
    values, _, _ = ratio_set(1, 5)
    fewer = {name: each[1:] for name, each in values.items()}
    with pytest.raises(ValueError, match="the same names and events"):
        difference_of(Ratio(), values, fewer, None)
    with pytest.raises(ValueError, match="the same names and events"):
        difference_of(Ratio(), values, {"nats": values["nats"]}, None)


def test_the_error_of_a_number_of_a_stream_is_over_blocks_found_from_it() -> None:
    dims = torch.full((1500,), 4.0, dtype=torch.float64)
    hard = noise(9, 60).repeat_interleave(25) + 0.1 * noise(10, 1500)
    values = {"nats": 4 * hard, "dims": dims}
    known = NLL.from_log_probs(-values["nats"], dims, is_stream=True)
    found = error_of(Ratio(), values, None, stream_dims=dims)
    assert found == pytest.approx(known.standard_error_nats_per_dim, rel=0.15)
    paired = difference_of(
        Ratio(), values, {**values, "nats": noise(11, 1500)}, None, stream_dims=dims
    )
    assert paired.blocks is not None
    assert paired.num_groups == paired.blocks.num_blocks
    assert paired.blocks.of_window[0] == 0
    assert bool((paired.blocks.of_window.diff() >= 0).all())  # they follow one another


def test_recipes_are_compared_over_seeds_and_events() -> None:
    a = noise(20, 4, 60) + noise(21, 60)
    b = noise(22, 3, 60) + noise(21, 60) - 1 + noise(23, 3, 1)
    known = recipes_difference(a, b)
    for measurement, sign in ((Mean(), 1), (Cost(), -1), (Nats(), 1)):
        sides = ([{"x": sign * seed} for seed in side] for side in (a, b))
        assert recipes_difference_of(measurement, *sides, None) == known


def test_recipes_of_any_number_have_an_error_over_seeds_too() -> None:
    """Of a mean that is not known to be one: at least what the crossed model says, and not much."""

    class Written(Mean):
        def value_of(self, values, weights):  # type: ignore[no-untyped-def]
            return float(values["x"] @ weights / weights.sum())

    a = noise(24, 5, 200) * 0.3 + noise(25, 200) + 0.2 * noise(26, 5, 1)
    b = noise(27, 3, 200) * 0.3 + noise(25, 200) - 1 + 0.2 * noise(28, 3, 1)
    known = recipes_difference(a, b)
    sides = ([{"x": seed} for seed in side] for side in (a, b))
    found = recipes_difference_of(Written(), *sides, None)
    assert found.nats == pytest.approx(known.nats, rel=1e-12)
    assert found.error_of_seeds == pytest.approx(known.error_of_seeds, rel=1e-12)
    assert found.error_of_groups == pytest.approx(known.error_of_groups, rel=0.1)
    assert 0.98 * known.standard_error < found.standard_error < 1.2 * known.standard_error
    assert found.degrees == pytest.approx(known.degrees, rel=0.2)
    assert found.num_seeds == (5, 3)
    with pytest.raises(ValueError, match="at least 3 seeds of each"):
        recipes_difference_of(Written(), [{"x": a[0]}] * 2, [{"x": b[0]}] * 3, None)
