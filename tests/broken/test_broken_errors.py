"""Right numbers, wrong errors: intervals as made in the wild, each found out by what it covers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor

from arbench.measure.statistics.metrics import NLL
from arbench.measure.statistics.paired import paired_difference
from arbench.measure.statistics.seeds import recipes_difference
from arbench.measure.statistics.student import t_quantile

# An experiment gives values (of a stream, of groups, of seeds) with mean 0; a method gives an
# estimate of that mean, and half an interval of 95 %.
Method = Callable[[Tensor], tuple[float, float]]
NUM_EXPERIMENTS = 200
STATED = 0.95
# Three standard deviations of a count of 200 below what is stated.
LEAST = STATED - 3 * math.sqrt(STATED * (1 - STATED) / NUM_EXPERIMENTS)


def half(nll: NLL) -> float:
    assert nll.standard_error_nats is not None
    return t_quantile(0.975, nll.num_groups - 1) * nll.standard_error_nats


def stream(generator: np.random.Generator) -> Tensor:
    """Symbols of a text, one by one: noise, and a tone of some hundred symbols below it."""
    tone = lfilter([1], [1, -0.995], generator.normal(0, 0.1, 24_000))[4_000:]
    return torch.tensor(tone + generator.normal(0, 1.5, 20_000))


def recordings(generator: np.random.Generator) -> Tensor:
    """Twelve recordings of 30 windows each, alike within."""
    return torch.tensor(generator.normal(0, 1, (12, 1)) + generator.normal(0, 1, (12, 30)))


def seeds(generator: np.random.Generator) -> Tensor:
    """Two recipes that are one, `(2, 3, 500)`: three seeds of each, which differ as a whole."""
    hardness = generator.normal(0, 5, 500)
    chance = generator.normal(0, 0.3, (2, 3, 1))
    return torch.tensor(hardness + chance + generator.normal(0, 0.5, (2, 3, 500)))


def by_blocks(values: Tensor) -> tuple[float, float]:
    nll = NLL.from_log_probs(-values, 1, is_stream=True)
    return nll.nats_per_event, half(nll)


def by_symbols(values: Tensor) -> tuple[float, float]:
    """Every window of a stream is taken for independent of the one before it."""
    nll = NLL.from_log_probs(-values, 1)
    return nll.nats_per_event, half(nll)


def by_the_stride(values: Tensor) -> tuple[float, float]:
    """The block is whatever the user's stride is, here 16 symbols."""
    nll = NLL.from_log_probs(-values.view(-1, 16).mean(1), 1)
    return nll.nats_per_event, half(nll)


def by_groups(values: Tensor) -> tuple[float, float]:
    groups = torch.arange(12).repeat_interleave(30)
    nll = NLL.from_log_probs(-values.flatten(), 1, groups=groups)
    return nll.nats_per_event, half(nll)


def by_windows(values: Tensor) -> tuple[float, float]:
    """The windows of one recording are taken for independent."""
    nll = NLL.from_log_probs(-values.flatten(), 1)
    return nll.nats_per_event, half(nll)


def by_four_and_the_normal_quantile(values: Tensor) -> tuple[float, float]:
    """Four groups, and 1.96 standard errors as if there were hundreds."""
    nll = by_few(values)
    assert nll.standard_error_nats is not None
    return nll.nats_per_event, 1.96 * nll.standard_error_nats


def by_four_and_student(values: Tensor) -> tuple[float, float]:
    nll = by_few(values)
    return nll.nats_per_event, half(nll)


def by_few(values: Tensor) -> NLL:
    groups = torch.arange(4).repeat_interleave(30)
    return NLL.from_log_probs(-values[:4].flatten(), 1, groups=groups)


def as_recipes(values: Tensor) -> tuple[float, float]:
    found = recipes_difference(*values)
    return found.nats, found.interval[1] - found.nats


def as_weights(values: Tensor) -> tuple[float, float]:
    """A verdict on two recipes from the events alone: the seeds are taken for all there are."""
    found = paired_difference(values[0].mean(0), values[1].mean(0))
    return found.nats, found.interval[1] - found.nats


def as_one_seed(values: Tensor) -> tuple[float, float]:
    """A verdict on two recipes from one seed of each."""
    found = paired_difference(values[0, 0], values[1, 0])
    return found.nats, found.interval[1] - found.nats


def coverage(method: Method, experiment: Callable[[np.random.Generator], Tensor]) -> float:
    generator = np.random.default_rng(0)
    found = [method(experiment(generator)) for _ in range(NUM_EXPERIMENTS)]
    return sum(abs(estimate) <= width for estimate, width in found) / NUM_EXPERIMENTS


CASES = [
    (by_symbols, by_blocks, stream),
    (by_the_stride, by_blocks, stream),
    (by_windows, by_groups, recordings),
    (by_four_and_the_normal_quantile, by_four_and_student, recordings),
    (as_weights, as_recipes, seeds),
    (as_one_seed, as_recipes, seeds),
]


@pytest.mark.parametrize(("broken", "right", "experiment"), CASES, ids=lambda case: case.__name__)
def test_an_interval_that_is_too_narrow_covers_too_little(
    broken: Method, right: Method, experiment: Callable[[np.random.Generator], Tensor]
) -> None:
    assert coverage(broken, experiment) < LEAST <= coverage(right, experiment)
