"""Metrics: totals first, ratios last, against plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from arbench.measure.statistics.metrics import NLL
from arbench.measure.statistics.paired import paired_difference
from arbench.measure.statistics.student import FOUR_SIGMA
from arbench.probability.bits import bits_of_dims

NATS = st.lists(st.floats(-500, 0), min_size=2, max_size=40)


@given(NATS, st.integers(1, 50))
def test_nll_is_numpys(values: list[float], dims_per_event: int) -> None:
    array = np.array(values)
    num_dims = len(values) * dims_per_event
    nll = NLL.from_log_probs(torch.tensor(values, dtype=torch.float64), dims_per_event)
    assert nll.nats_per_event == pytest.approx(-array.mean())
    assert nll.bits_per_dim == pytest.approx(-array.sum() / np.log(2) / num_dims)
    error = array.std(ddof=1) / np.sqrt(len(values))
    assert nll.standard_error_nats == pytest.approx(error, abs=1e-9)
    assert nll.standard_error_bits_per_dim == pytest.approx(
        error / np.log(2) / dims_per_event, abs=1e-9
    )


def test_uniform_bits_are_one_bit_per_dim() -> None:
    log_probs = torch.full((7,), -784 * math.log(2), dtype=torch.float64)
    nll = NLL.from_log_probs(log_probs, 784)
    assert nll.bits_per_dim == pytest.approx(1, abs=1e-14)
    assert nll.standard_error_nats == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("num_bins", "bits"), [(256, 8), (2, 1), (1, 0)])
def test_quantised_values_cost_the_bits_of_their_bins(num_bins: int, bits: int) -> None:
    """A uniform density on [0, 1] in bins of width w: probability w each, -log2(w) bits."""
    log_probs = torch.zeros(5, dtype=torch.float64)  # ln 1, the density
    nll = NLL.from_log_probs(log_probs, 3, bin_width=1 / num_bins)
    assert nll.bits_per_dim == pytest.approx(bits, abs=1e-12)
    assert bits_of_dims(log_probs, 1 / num_bins).tolist() == pytest.approx([bits] * 5, abs=1e-12)


def test_narrower_bins_leave_nats_and_errors_alone() -> None:
    log_probs = torch.tensor([-1.0, -2.0, -4.0], dtype=torch.float64)
    wide, narrow = (NLL.from_log_probs(log_probs, 2, bin_width=w) for w in (1.0, 0.25))
    assert (narrow.bits_per_dim or 0) - (wide.bits_per_dim or 0) == pytest.approx(2, abs=1e-12)
    assert narrow.nats_per_event == wide.nats_per_event
    assert narrow.standard_error_bits_per_dim == wide.standard_error_bits_per_dim


def test_reals_without_bins_have_no_bits() -> None:
    nll = NLL.from_log_probs(torch.tensor([-1.0, -2.0]), 2, bin_width=None)
    assert nll.bits_per_dim is None
    density = bits_of_dims(torch.tensor([math.log(2)]), None)
    assert density.item() == pytest.approx(-1)


def test_the_last_partial_batch_counts_by_its_events() -> None:
    """10 events in batches of 4, 4 and 2; the mean of batch means would be another number."""
    log_probs = -torch.arange(1.0, 11.0)
    batches = log_probs.split(4)
    nll = NLL.from_log_probs(torch.cat(batches), 3)
    assert nll.total_nats == 55
    assert nll.nats_per_event == 5.5
    assert np.mean([-float(b.mean()) for b in batches]) != pytest.approx(nll.nats_per_event)


def test_events_of_different_length_are_weighed_by_their_dims() -> None:
    """Total bits over total dims, not the mean of each event's bits per dim."""
    log_probs = torch.tensor([-math.log(2), -30 * math.log(2)])
    nll = NLL.from_log_probs(log_probs, torch.tensor([1, 10]))
    assert nll.bits_per_dim == pytest.approx(31 / 11)


def test_lengths_alone_are_no_error_of_a_ratio() -> None:
    """Every dim costs exactly 2 nats: bits per dim are certain, nats per event are not."""
    dims = torch.tensor([3, 9, 4, 16])
    nll = NLL.from_log_probs(-2.0 * dims, dims)
    assert (nll.standard_error_nats or 0) > 1
    assert nll.standard_error_nats_per_dim == pytest.approx(0, abs=1e-12)


def test_the_error_of_a_ratio_is_the_spread_of_many_splits() -> None:
    generator = np.random.default_rng(0)
    dims = generator.integers(1, 20, (4000, 50))
    nats = 1.5 * dims + generator.normal(0, 1, dims.shape) * np.sqrt(dims)
    ratios = nats.sum(1) / dims.sum(1)
    errors = [
        NLL.from_log_probs(torch.tensor(-n), torch.tensor(d)).standard_error_nats_per_dim
        for n, d in zip(nats[:500], dims[:500], strict=True)
    ]
    assert np.mean(errors) == pytest.approx(ratios.std(), rel=0.05)


def test_float32_log_probs_are_summed_in_float64() -> None:
    """The float32 sum of 2 ** 24 and ten ones is off by up to ten."""
    log_probs = torch.cat((torch.tensor([-(2.0**24)]), -torch.ones(10)))
    assert NLL.from_log_probs(log_probs, 1).total_nats == 2**24 + 10


def test_one_event_has_no_spread() -> None:
    nll = NLL.from_log_probs(torch.tensor([-3.0]), 2)
    assert nll.standard_error_nats is None
    assert nll.standard_error_bits_per_dim is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_becomes_a_number(bad: float) -> None:
    with pytest.raises(ValueError, match=f"event 2: log-probability {bad}"):
        NLL.from_log_probs(torch.tensor([-1.0, -2.0, bad, bad]), 4)


@pytest.mark.parametrize("shape", [(0,), (2, 2), ()])
def test_log_probs_are_one_per_event(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(N,\) log-probabilities"):
        NLL.from_log_probs(torch.zeros(shape), 1)


@given(st.lists(st.tuples(st.floats(-100, 0), st.floats(-100, 0)), min_size=2, max_size=30))
def test_paired_difference_is_numpys(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    found = paired_difference(torch.tensor(a), torch.tensor(b))
    error = (a - b).std(ddof=1) / np.sqrt(len(a))
    assert found.nats == pytest.approx((a - b).mean(), abs=1e-9)
    assert found.standard_error == pytest.approx(error, abs=1e-9)
    assert found.num_events == len(a)


def test_pairing_removes_what_the_events_share() -> None:
    generator = np.random.default_rng(0)
    hardness = generator.normal(-90, 20, 500)
    a = torch.tensor(hardness + generator.normal(0.1, 0.5, 500))
    b = torch.tensor(hardness)
    found = paired_difference(a, b)
    expected = stats.ttest_rel(a, b)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval == pytest.approx(expected.confidence_interval(), rel=1e-9)
    assert found.standard_error < 0.1 < NLL.from_log_probs(a, 500).standard_error_nats
    assert paired_difference(b, a).nats == pytest.approx(-found.nats)


def test_differences_without_spread() -> None:
    same = paired_difference(torch.zeros(3), torch.zeros(3))
    assert (same.nats, same.z, same.p_value) == (0, 0, 1)
    shifted = paired_difference(torch.ones(3), torch.zeros(3))
    assert (shifted.z, shifted.p_value) == (math.inf, 0)


def test_rounding_is_no_difference() -> None:
    """The same density in float32 and in float64: the error has no spread to speak of."""
    nats = np.random.default_rng(0).normal(-90, 20, 1000)
    exact = torch.tensor(nats)
    rounded = exact.float() * (1 + 2e-7)
    assert paired_difference(exact, rounded).nats != 0
    assert paired_difference(exact, rounded).z == 0
    assert paired_difference(exact, rounded).p_value == 1
    assert paired_difference(exact, exact - 1e-3).p_value == 0


@pytest.mark.parametrize(("first", "second"), [((3,), (4,)), ((1,), (1,)), ((2, 2), (2, 2))])
def test_pairs_need_the_same_events(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="the same events"):
        paired_difference(torch.zeros(first), torch.zeros(second))


@pytest.mark.parametrize("num_events", [3, 12, 29])
def test_few_events_have_students_quantiles(num_events: int) -> None:
    a, b = np.random.default_rng(num_events).normal(0, 1, (2, num_events))
    found = paired_difference(torch.tensor(a), torch.tensor(b))
    expected = stats.ttest_rel(a, b)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval == pytest.approx(expected.confidence_interval(), rel=1e-9)
    assert found.has_enough_groups == (num_events >= 10)


def test_the_error_over_groups_is_that_of_their_sums() -> None:
    """Groups of equal size: the error of the mean of their means, whatever happens within them."""
    generator = np.random.default_rng(0)
    values = generator.normal(0, 3, (40, 1)) + generator.normal(0, 1, (40, 5))
    groups = torch.arange(40).repeat_interleave(5)
    nll = NLL.from_log_probs(torch.tensor(-values.ravel()), 7, groups=groups)
    error = values.mean(1).std(ddof=1) / np.sqrt(40)
    assert nll.standard_error_nats == pytest.approx(error)
    assert nll.standard_error_bits_per_dim == pytest.approx(error / 7 / np.log(2))
    assert nll.num_groups == 40
    by_event = NLL.from_log_probs(torch.tensor(-values.ravel()), 7).standard_error_nats
    assert by_event is not None
    assert error > 1.8 * by_event  # as if they were 200


def test_groups_are_numbers_in_any_order() -> None:
    values = torch.randn(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    groups = torch.arange(60) % 20
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    first = NLL.from_log_probs(values, 3, groups=groups)
    second = NLL.from_log_probs(values[order], 3, groups=1000 - 7 * groups[order])
    assert second.standard_error_nats == pytest.approx(first.standard_error_nats, rel=1e-12)
    assert second.num_groups == first.num_groups == 20


def test_the_error_over_groups_of_unequal_size_is_the_spread_of_many_splits() -> None:
    generator = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(1500):
        sizes = generator.integers(1, 8, 40)
        groups = np.repeat(np.arange(40), sizes)
        dims = generator.integers(1, 20, len(groups))
        nats = (1.5 + generator.normal(0, 0.5, 40)[groups]) * dims
        nll = NLL.from_log_probs(
            torch.tensor(-nats), torch.tensor(dims), groups=torch.tensor(groups)
        )
        means.append(nll.total_nats / nll.num_dims)
        errors.append(nll.standard_error_nats_per_dim)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.06)


def test_one_group_has_no_spread() -> None:
    nll = NLL.from_log_probs(torch.tensor([-3.0, -1.0]), 2, groups=torch.tensor([5, 5]))
    assert (nll.num_groups, nll.standard_error_nats, nll.standard_error_bits_per_dim) == (
        1,
        None,
        None,
    )
    with pytest.raises(ValueError, match="at least two independent groups"):
        paired_difference(torch.zeros(2), torch.ones(2), groups=torch.tensor([5, 5]))


def test_a_difference_over_groups_is_the_paired_t_test_of_their_means() -> None:
    generator = np.random.default_rng(3)
    a = generator.normal(0, 1, (15, 4)) + generator.normal(0.5, 1, (15, 1))
    groups = torch.arange(15).repeat_interleave(4)
    found = paired_difference(torch.tensor(a.ravel()), torch.zeros(60).double(), groups=groups)
    expected = stats.ttest_1samp(a.mean(1), 0)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.num_events, found.num_groups) == (60, 15)


def test_four_standard_errors_are_those_of_a_normal_number() -> None:
    assert pytest.approx(2 * stats.norm.sf(4), rel=1e-12) == FOUR_SIGMA
