"""Parts of calibration that are mathematics alone: bins, transform, temperature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from arbench import Split
from arbench_calibration import temperature
from arbench_calibration.bins import (
    BinSums,
    calibration_error,
    equal_mass,
    equal_width,
    error_by_chance,
)
from arbench_calibration.groups import Groups
from arbench_calibration.temperature import Kept, best_temperature, few_enough, gains
from arbench_calibration.transform import furthest, transformed, uniform_test

# Bins.


def test_a_reliability_diagram_is_that_of_scikit_learn() -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    numbers = np.random.default_rng(0)
    predicted = numbers.random(5000)
    happened = (numbers.random(5000) < predicted**1.3).astype(float)
    bins = BinSums(1, equal_width(15))
    zeros = torch.zeros(5000, dtype=torch.int64)
    bins.add(zeros, torch.from_numpy(predicted), torch.from_numpy(happened))
    shares, means = calibration.calibration_curve(happened, predicted, n_bins=15)
    np.testing.assert_allclose((bins.happened / bins.counts)[0], shares, rtol=1e-12)
    np.testing.assert_allclose((bins.predicted / bins.counts)[0], means, rtol=1e-12)


def test_bins_hold_their_upper_edges_and_end_at_0_and_1() -> None:
    bins = BinSums(1, equal_width(4))
    predicted = torch.tensor([0.0, 0.25, 0.2500001, 0.5, 1.0], dtype=torch.float64)
    bins.add(torch.zeros(5, dtype=torch.int64), predicted, torch.zeros(5, dtype=torch.float64))
    assert bins.counts.tolist() == [[2, 2, 0, 1]]


def test_equal_mass_is_equal() -> None:
    predicted = torch.rand(3000, generator=torch.Generator().manual_seed(0)).double() ** 4
    bins = BinSums(1, equal_mass(predicted, 15))
    bins.add(torch.zeros(3000, dtype=torch.int64), predicted, predicted)
    assert (bins.counts - 200).abs().max() <= 1


def test_what_chance_gives_is_the_mean_over_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(300):
        predicted = torch.rand(600, generator=generator, dtype=torch.float64) ** 2
        happened = (torch.rand(600, generator=generator) < predicted).double()
        bins = BinSums(1, equal_width(15))
        bins.add(torch.zeros(600, dtype=torch.int64), predicted, happened)
        counts = bins.counts.sum(1)
        found.append(
            (calibration_error(bins.gaps, counts), error_by_chance(bins.variances, counts))
        )
    error, expected = torch.tensor(found).mean(0)
    assert error.item() == pytest.approx(expected.item(), rel=0.03)


# The transform.


def test_the_transform_lies_between_the_cumulative_probabilities() -> None:
    probs = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64).expand(3000, -1)
    values = torch.arange(3000) % 3
    found = transformed(probs.log(), values, torch.Generator().manual_seed(0))
    for value, (low, high) in enumerate([(0.0, 0.2), (0.2, 0.7), (0.7, 1.0)]):
        own = found[values == value].numpy()
        assert stats.kstest(own, "uniform", (low, high - low)).pvalue > 0.01


def test_the_furthest_is_kolmogorovs_distance() -> None:
    counts = torch.bincount(torch.tensor([0, 1, 1, 3, 3, 3, 3, 9]), minlength=10).double()
    steps = counts.cumsum(0) / 8 - torch.arange(1, 11) / 10
    assert furthest(counts).item() == pytest.approx(steps.abs().max().item())
    assert furthest(torch.ones(4, 10).double()).tolist() == pytest.approx([0] * 4, abs=1e-12)


def test_dependence_within_a_group_makes_no_false_alarm() -> None:
    """All 20 numbers of two events lie in one cell: a test of all numbers would always reject."""
    generator, found, naive = torch.Generator().manual_seed(0), [], []
    groups = Groups(Split(torch.zeros(300, 1), groups=torch.arange(300) // 2))
    for _ in range(400):
        cells = torch.randint(100, (150,), generator=generator).repeat_interleave(2)
        counts = 10 * torch.nn.functional.one_hot(cells, 100).double()
        test = uniform_test(counts, groups)
        assert test is not None
        found.append(test.p_value)
        naive.append(stats.chisquare(counts.view(300, 10, 10).sum((0, 2))).pvalue)
    assert np.mean(np.array(naive) < 0.05) > 0.9
    assert stats.binomtest(int((np.array(found) < 0.05).sum()), 400, 0.05).pvalue > 0.001
    assert uniform_test(torch.ones(39, 100), Groups(Split(torch.zeros(39, 1)))) is None


# The events that are looked at.


def test_the_temperature_looks_at_events_of_all_classes() -> None:
    classes = torch.arange(10).repeat_interleave(30).unsqueeze(1)
    part = few_enough(Split(classes, classes > 4), 2, 20)
    assert part.events[:, 0].bincount(minlength=10).tolist() == [2] * 10


# The temperature.


def kept_of(size: int, num_events: int, seed: int = 0) -> tuple[Kept, Groups]:
    """Logits and values that are likelier at another temperature."""
    generator = torch.Generator().manual_seed(seed)
    log_probs = (2 * torch.randn(num_events, size, generator=generator)).log_softmax(-1)
    values = torch.multinomial((log_probs / 1.4).softmax(-1), 1, generator=generator)[:, 0]
    events = torch.arange(num_events) // 4
    return Kept(log_probs, values, events, log_probs[:, 0]), Groups(
        Split(torch.zeros(num_events // 4, 1))
    )


@pytest.mark.parametrize("size", [2, 7])
def test_the_temperature_is_where_scipy_finds_it(size: int) -> None:
    kept, groups = kept_of(size, 4000)

    def nats(temperature: float) -> float:
        scaled = (kept.log_probs.double() / temperature).log_softmax(-1)
        return -scaled.gather(-1, kept.values[:, None]).sum().item()

    found = best_temperature(kept, groups)
    expected = optimize.minimize_scalar(nats, bounds=(0.5, 4), options={"xatol": 1e-9})
    assert found.value == pytest.approx(expected.x, rel=1e-6)
    gained = gains(kept.log_probs.double(), kept.values, found.value).sum().item()
    assert gained == pytest.approx(nats(1.0) - nats(found.value), rel=1e-6)


def test_the_error_of_a_temperature_is_its_spread_over_draws() -> None:
    found = [best_temperature(*kept_of(3, 2000, seed)) for seed in range(60)]
    errors = [each.error for each in found if each.error is not None]
    assert np.mean(errors) == pytest.approx(np.std([each.value for each in found]), rel=0.25)


def test_what_is_there_twice_says_no_more() -> None:
    """Copies of events, in the groups of their originals, move no temperature and no error."""
    kept, groups = kept_of(3, 400)
    copies = Kept(*(torch.cat((each, each)) for each in vars(kept).values()))
    copies.events[400:] += 100
    twice = Groups(Split(torch.zeros(200, 1), groups=torch.arange(100).repeat(2)))
    once, again = best_temperature(kept, groups), best_temperature(copies, twice)
    assert again.value == pytest.approx(once.value, rel=1e-9)
    assert again.error == pytest.approx(once.error, rel=1e-9)


def test_eight_windows_in_a_row_of_a_stream_are_one_group() -> None:
    groups = Groups(Split(torch.zeros(20, 1), is_stream=True))
    assert groups.members.tolist() == [0] * 8 + [1] * 8 + [2] * 4


def test_what_is_always_right_or_always_wrong_has_no_best_temperature() -> None:
    """Then it ends where nothing changes any more, or where the search does."""
    found = []
    for value in (0, 1):
        log_probs = torch.tensor([[0.9, 0.1]]).log().expand(8, -1)
        kept = Kept(log_probs, torch.full((8,), value), torch.arange(8), torch.ones(8))
        found.append(best_temperature(kept, Groups(Split(torch.zeros(8, 1)))).value)
    assert 0.01 <= found[0] < 0.04
    assert found[1] == pytest.approx(100, rel=1e-6)


def test_no_more_is_kept_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = torch.tensor([[True, True, True], [False, False, True], [True, True, False]])
    split = Split(torch.zeros(3, 3), scored)
    found = []
    for most in (60, 50, 40, 39, 10):
        monkeypatch.setattr(temperature, "MOST_NUMBERS", most)
        found.append(len(few_enough(split, 10, 3)))
    assert found == [3, 2, 2, 1, 1]
    assert len(few_enough(split, 1, 2)) == 2
