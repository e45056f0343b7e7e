"""Blocks of a stream: the published rule, and that the interval covers what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from arch.bootstrap import optimal_block_length as arch_block_length
from numpy.typing import NDArray
from scipy.signal import lfilter

from arbench.measure.statistics.blocks import blocks_of, optimal_block_length
from arbench.measure.statistics.metrics import NLL
from arbench.measure.statistics.paired import paired_difference
from arbench.measure.statistics.student import t_quantile

RHO = 0.39  # what windows of a text were seen to have
NUM_WINDOWS = 1740


def ar1(rho: float, size: int, seed: int) -> NDArray[np.float64]:
    """A stationary AR(1) series of mean 0, variance 1 and correlation `rho` at lag one."""
    shocks = np.random.default_rng(seed).normal(0, math.sqrt(1 - rho**2), size)
    shocks[0] /= math.sqrt(1 - rho**2)
    return np.asarray(lfilter([1], [1, -rho], shocks))


def error_of_mean(rho: float, size: int) -> float:
    """The standard deviation of the mean of such a series, in closed form."""
    lags = np.arange(1, size)
    return math.sqrt((1 + 2 * ((1 - lags / size) * rho**lags).sum()) / size)


def shortest(values: NDArray[np.float64]) -> float:
    """What arch answers."""
    return float(arch_block_length(values)["circular"].iloc[0])


@pytest.mark.parametrize("size", [40, 157, 1000, 2000])
@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.39, 0.9, 0.99])
def test_the_length_is_arch_s(rho: float, size: int) -> None:
    values = 100 + 7 * ar1(rho, size, seed=size)
    assert optimal_block_length(torch.tensor(values)) == pytest.approx(shortest(values), rel=1e-9)


@pytest.mark.parametrize("size", [60, 100])
def test_no_length_is_above_the_paper_s_cap(size: int) -> None:
    """Differences of noise: their sum hardly varies, and the rule wants the longest blocks."""
    values = np.diff(np.random.default_rng(size).normal(size=size + 1))
    capped = math.ceil(min(3 * math.sqrt(size), size / 3))
    assert optimal_block_length(torch.tensor(values)) == shortest(values) == capped


def test_what_has_no_length_is_blocks_of_one_window() -> None:
    assert optimal_block_length(torch.ones(500)) == 0  # nothing varies; arch answers nan
    white = next(w for w in (ar1(0.0, 200, seed) for seed in range(100)) if shortest(w) < 1)
    for values in (torch.zeros(200), torch.tensor(white - white.mean())):
        blocks = blocks_of(values, torch.full((200,), 64))
        assert (blocks.num_blocks, blocks.length, blocks.still_growing) == (200, 64, False)


def coverage(rho: float, size: int, num_streams: int) -> tuple[float, float]:
    """Of how many streams the 95 % interval holds the true mean, and without blocks."""
    hits = naive = 0
    for seed in range(num_streams):
        stream = torch.tensor(ar1(rho, size, seed))
        nll = NLL.from_log_probs(-stream, 64, is_stream=True)
        error = nll.standard_error_nats
        assert error is not None
        hits += abs(nll.nats_per_event) <= t_quantile(0.975, nll.num_groups - 1) * error
        alone = NLL.from_log_probs(-stream, 64).standard_error_nats
        assert alone is not None
        naive += abs(nll.nats_per_event) <= 1.96 * alone
    return hits / num_streams, naive / num_streams


@pytest.mark.parametrize(
    "size",
    [NUM_WINDOWS, *(pytest.param(size, marks=pytest.mark.slow) for size in (400, 6000))],
)
def test_the_interval_covers_the_truth_in_90_to_97_percent_of_1000_streams(size: int) -> None:
    covered, naive = coverage(RHO, size, 1000)
    assert 0.90 <= covered <= 0.97
    assert naive < 0.85


def test_the_error_of_a_difference_is_over_blocks_of_the_differences() -> None:
    """What two results share cancels: blocks are as long as the difference wants them."""
    shared, own = ar1(0.99, NUM_WINDOWS, 1), ar1(RHO, NUM_WINDOWS, 2)
    a, b = torch.tensor(50 * shared + own), torch.tensor(50 * shared)
    found = paired_difference(a, b, stream_dims=torch.full((NUM_WINDOWS,), 64))
    assert found.blocks is not None
    assert not found.blocks.still_growing
    assert found.num_groups == found.blocks.num_blocks > 50
    assert found.standard_error == pytest.approx(error_of_mean(RHO, NUM_WINDOWS), rel=0.25)


def test_an_error_that_still_grows_is_a_lower_bound_at_20_blocks() -> None:
    """Scenes as long as a sixth of the stream: no number of blocks from 20 on shows their error."""
    for seed in range(5):
        scenes = ar1(0.9965, NUM_WINDOWS, seed)
        nll = NLL.from_log_probs(torch.tensor(-scenes), 64, is_stream=True)
        assert nll.blocks is not None
        assert nll.blocks.still_growing
        assert nll.num_groups == nll.blocks.num_blocks == 20
        assert nll.blocks.length == NUM_WINDOWS * 64 // 20
        sums = scenes.reshape(20, -1).mean(1)
        assert nll.standard_error_nats == pytest.approx(sums.std(ddof=1) / math.sqrt(20))


@pytest.mark.parametrize("num_windows", [2, 7, 19, 20, 39])
def test_a_short_stream_may_always_grow(num_windows: int) -> None:
    blocks = blocks_of(torch.tensor(ar1(0.0, num_windows, 0)), torch.full((num_windows,), 10))
    assert blocks.still_growing
    assert blocks.num_blocks == min(20, num_windows)


@pytest.mark.parametrize("rho", [0.0, 0.99, 0.999])
def test_the_stride_makes_no_error_smaller(rho: float) -> None:
    """Symbols that hardly depend on each other one by one do so in the sum: any stride sees it."""
    size = 64 * NUM_WINDOWS
    errors = []
    for seed in range(8):
        own = np.random.default_rng(100 + seed).normal(0, 3, size)
        symbols = torch.tensor(ar1(rho, size, seed) + own)
        errors.append(
            [
                NLL.from_log_probs(
                    symbols.view(-1, stride).sum(1), stride, is_stream=True
                ).standard_error_nats_per_dim
                for stride in (1, 8, 64)
            ]
        )
    of_one, of_eight, of_64 = np.mean(errors, axis=0)
    assert of_one == pytest.approx(of_64, rel=0.1)
    assert of_eight == pytest.approx(of_64, rel=0.1)
    truth = math.sqrt(error_of_mean(rho, size) ** 2 + 9 / size)
    assert of_one == pytest.approx(truth, rel=0.2)


def test_blocks_are_contiguous_and_of_about_the_same_length() -> None:
    for num_windows in (45, 333, 1740, 25_000):
        blocks = blocks_of(torch.tensor(ar1(0.8, num_windows, 3)), torch.ones(num_windows))
        steps = blocks.of_window.diff()
        assert set(steps.tolist()) <= {0, 1}
        assert int(blocks.of_window[-1]) + 1 == blocks.num_blocks
        assert blocks.num_blocks % 20 == 0
        sizes = blocks.of_window.bincount()
        cell = num_windows // (num_windows // max(1, num_windows // 1000))
        assert sizes.max() - sizes.min() <= 2 * cell


def test_a_first_window_that_scores_more_is_no_spread() -> None:
    """Its number of symbols is no chance: what counts is what they cost."""
    dims = torch.full((400,), 1)
    dims[0] = 256
    nll = NLL.from_log_probs(-1.5 * dims, dims, is_stream=True)
    assert nll.standard_error_nats == pytest.approx(0, abs=1e-12)
    assert nll.standard_error_nats_per_dim == pytest.approx(0, abs=1e-12)


def test_windows_of_one_symbol_are_the_same_cells_as_windows_of_twenty() -> None:
    """Whatever the stride, 20,000 symbols are 1,000 cells: equal blocks, and an equal error."""
    tone = ar1(0.999, 20_000, 6)
    symbols = torch.tensor(tone + np.random.default_rng(5).normal(0, 6, 20_000))
    by_one = NLL.from_log_probs(symbols, 1, is_stream=True)
    by_twenty = NLL.from_log_probs(symbols.view(-1, 20).sum(1), 20, is_stream=True)
    assert by_one.blocks is not None
    assert by_twenty.blocks is not None
    assert by_one.blocks.length == by_twenty.blocks.length
    assert by_one.num_groups == by_twenty.num_groups <= 1000
    assert by_one.standard_error_nats_per_dim == pytest.approx(
        by_twenty.standard_error_nats_per_dim, rel=1e-9
    )


def test_a_rule_that_wants_fewer_than_20_blocks_has_seen_no_plateau() -> None:
    found = 0
    for seed in range(150):
        values = torch.tensor(ar1(0.9, 300, seed))
        blocks = blocks_of(values - values.mean(), torch.ones(300))
        if optimal_block_length(values) > 300 / 20:
            found += 1
            assert blocks.still_growing
    assert found > 30


def test_what_grows_is_taken_at_20_blocks_however_short_the_rule_wants_them() -> None:
    """A weak tone below much noise: no single correlation shows it, the sums of blocks do."""
    found = 0
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(0, 4, 1000)
        values = torch.tensor(ar1(0.99, 1000, 1000 + seed) + noise)
        blocks = blocks_of(values - values.mean(), torch.ones(1000))
        assert blocks.num_blocks == 20 or not blocks.still_growing
        found += blocks.still_growing and optimal_block_length(values) < 1000 / 60
    assert found > 3
