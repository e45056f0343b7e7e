"""The toys: every distribution sums to 1, has the entropy it states and is what is sampled."""

from __future__ import annotations

import hashlib
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest, multivariate_normal

import arbench_toys
from arbench.data.tasks import SPLITS
from arbench.probability.randomness import uniforms
from arbench_toys.ar1 import GaussianAR1
from arbench_toys.distributions import Distribution
from arbench_toys.ising import Ising
from arbench_toys.markov import MarkovChain
from arbench_toys.parity import Parity
from arbench_toys.tasks import NUM_EVENTS, AR1Task, IsingTask, MarkovTask, ParityTask, ToyTask

SMALL: list[Distribution] = [
    Parity(num_groups=3, group_size=3, flip=0.2),
    MarkovChain(length=9, on=0.15, off=0.4),
    Ising(height=3, width=4, coupling=0.3, field=0.1),
    Ising(height=4, width=2, coupling=-0.5, field=0.2),
]
TASKS: list[type[ToyTask]] = [ParityTask, MarkovTask, IsingTask, AR1Task]
each_distribution = pytest.mark.parametrize(
    "distribution", SMALL, ids=lambda d: f"{type(d).__name__}{d.event_shape}"
)
each_task = pytest.mark.parametrize("cls", TASKS, ids=lambda cls: cls.name)
SHA256 = {
    "toy-parity": "b68dc22843f282380f299a1fd91b2a79e551c37a2af6a2d23ca60767a7eb48a8",
    "toy-markov": "9eb69b454339535730c1de7c84f266dc27b6e6ef14e8ec44d26c36850fecf9c3",
    "toy-ising": "91dad7019ec1bee5489548d427fe8cd953070c9cc292a5fc8dd7a38bc5bb2fce",
    "toy-ar1": "fc5e26eaccd274583f1d8bc23bbb68b92422185a5580b0563cb696767378b00d",
}


def _all_events(distribution: Distribution) -> np.ndarray:
    num_dims = math.prod(distribution.event_shape)
    flat = np.array(list(itertools.product([0, 1], repeat=num_dims)), dtype=np.uint8)
    return flat.reshape(-1, *distribution.event_shape)


@each_distribution
def test_probabilities_of_all_events_sum_to_one(distribution: Distribution) -> None:
    log_probs = distribution.log_prob(_all_events(distribution))
    assert log_probs.dtype == np.float64
    assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-12)


@each_distribution
def test_entropy_is_that_of_all_events(distribution: Distribution) -> None:
    log_probs = distribution.log_prob(_all_events(distribution))
    brute = -(np.exp(log_probs) * log_probs).sum()
    assert distribution.entropy_nats == pytest.approx(brute, rel=1e-12)


@each_distribution
def test_samples_follow_the_probabilities(distribution: Distribution) -> None:
    num_samples = 40_000
    numbers = uniforms(num_samples * distribution.num_uniforms, 5)
    samples = distribution.sample(numbers.reshape(num_samples, -1))
    num_dims = math.prod(distribution.event_shape)
    codes = samples.reshape(num_samples, num_dims) @ (1 << np.arange(num_dims)[::-1])
    counts = np.bincount(codes, minlength=2**num_dims)
    expected = num_samples * np.exp(distribution.log_prob(_all_events(distribution)))
    # Cells with few expected counts are pooled, or the statistic is not chi-square.
    order = np.argsort(expected)
    bins = np.floor(np.cumsum(expected[order]) / 20).astype(int)
    pooled = [np.bincount(bins, weights=w[order]) for w in (counts, expected)]
    kept = pooled[1] > 5
    pooled = [np.append(p[kept], p[~kept].sum()) for p in pooled]
    pooled = [p[pooled[1] > 0] for p in pooled]
    assert chisquare(*pooled).pvalue > 1e-4


def test_ising_against_its_definition_written_out() -> None:
    """Weights by a loop over bonds, Z by a sum over all lattices."""
    height, width, coupling, field = 3, 3, 0.45, -0.15
    events = _all_events(Ising(height, width, coupling, field))

    def log_weight(bits: np.ndarray) -> float:
        spin = {(i, j): 1 if bits[0, i, j] else -1 for i in range(height) for j in range(width)}
        bonds = sum(spin[i, j] * spin[i + 1, j] for i in range(height - 1) for j in range(width))
        bonds += sum(spin[i, j] * spin[i, j + 1] for i in range(height) for j in range(width - 1))
        return coupling * bonds + field * sum(spin.values())

    weights = np.array([log_weight(event) for event in events])
    log_partition = np.log(np.exp(weights).sum())
    lattice = Ising(height, width, coupling, field)
    assert lattice.log_partition == pytest.approx(log_partition, rel=1e-13)
    np.testing.assert_allclose(lattice.log_prob(events), weights - log_partition, rtol=1e-12)


def test_ising_partition_does_not_care_which_way_is_down() -> None:
    assert Ising(3, 7, 0.4, 0.05).log_partition == pytest.approx(
        Ising(7, 3, 0.4, 0.05).log_partition, rel=1e-13
    )


def test_parity_hides_from_pairs() -> None:
    """Every pair of bits is independent, yet a group of three is not."""
    parity = Parity(num_groups=1, group_size=3, flip=0.1)
    events = _all_events(parity)
    probability = np.exp(parity.log_prob(events))
    signs = 1.0 - 2.0 * events
    for i, j in itertools.combinations(range(3), 2):
        assert probability @ (signs[:, i] * signs[:, j]) == pytest.approx(0, abs=1e-15)
    assert probability @ signs.prod(axis=1) == pytest.approx(0.8)


def test_markov_chain_is_stationary() -> None:
    chain = MarkovChain(length=6, on=0.1, off=0.3)
    events = _all_events(chain)
    np.testing.assert_allclose(np.exp(chain.log_prob(events)) @ events, 0.25, rtol=1e-12)


def _covariance(length: int, coefficient: float) -> np.ndarray:
    steps = np.arange(length)
    return coefficient ** np.abs(steps[:, None] - steps)


@pytest.mark.parametrize("coefficient", [0.9, -0.4, 0.0])
def test_ar1_is_the_normal_distribution_of_its_covariances(coefficient: float) -> None:
    ar1 = GaussianAR1(length=6, coefficient=coefficient)
    normal = multivariate_normal(np.zeros(6), _covariance(6, coefficient))
    events = np.random.default_rng(0).normal(size=(50, 6)) * 2
    np.testing.assert_allclose(ar1.log_prob(events), normal.logpdf(events), rtol=1e-10)
    assert ar1.entropy_nats == pytest.approx(normal.entropy(), rel=1e-12)


def test_ar1_samples_have_its_covariances_and_are_normal() -> None:
    ar1 = GaussianAR1(length=5, coefficient=0.9)
    events = ar1.sample(uniforms(5 * 40_000, 6).reshape(-1, 5))
    assert events.dtype == np.float32
    found = np.cov(events.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(found, _covariance(5, 0.9), atol=0.03)  # 4 standard errors
    assert all(kstest(column, "norm").pvalue > 1e-4 for column in events.T)
    assert np.isfinite(ar1.sample(np.zeros((1, 5)))).all()


def _readme_figures(name: str) -> tuple[str, str]:
    readme = (Path(arbench_toys.__file__).parent / "README.md").read_text()
    row = next(line for line in readme.splitlines() if line.startswith(f"| {name} |"))
    cells = [cell.strip() for cell in row.split("|")]
    return cells[3], cells[4]


@each_task
def test_events_are_pinned_and_fit_the_spec(cls: type[ToyTask]) -> None:
    task = cls()
    for split in SPLITS:
        loaded = task.load(split)
        assert len(loaded) == NUM_EVENTS[split]
        task.spec.validate(loaded.events)
    events = loaded.events.numpy()
    assert hashlib.sha256(events.tobytes()).hexdigest() == SHA256[task.name]


@each_task
def test_mean_true_nll_is_the_entropy_within_error(cls: type[ToyTask]) -> None:
    task = cls()
    for split in SPLITS:
        nll = -task.true_log_prob(task.load(split).events)
        assert nll.dtype == torch.float64
        error = nll.std().item() / math.sqrt(len(nll))
        assert abs(nll.mean().item() - task.entropy_nats) < 4 * error
        # The check has teeth: the error is a small part of what there is to learn.
        assert error < 0.02 * task.entropy_nats


@each_task
def test_figures_of_the_readme(cls: type[ToyTask]) -> None:
    task = cls()
    events = task.load("train").events.double()
    if cls is AR1Task:
        floor_nats = 0.5 * torch.log(2 * math.pi * math.e * events.var(dim=0)).sum().item()
    else:
        p = events.mean(dim=0)
        floor_nats = -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).sum().item()
    assert floor_nats > task.entropy_nats + 2
    entropy, floor = _readme_figures(task.name)
    assert entropy == f"{task.entropy_nats:.4f}"
    assert float(floor) == pytest.approx(floor_nats, abs=0.05)  # of 8,000 events


@each_task
def test_events_of_another_kind_are_refused(cls: type[ToyTask]) -> None:
    task = cls()
    good = task.load("test").events[:2]
    if cls is AR1Task:
        with pytest.raises(ValueError, match="found nan, expected finite numbers"):
            task.true_log_prob(good * math.nan)
    else:
        with pytest.raises(ValueError, match="found 2, expected integers in"):
            task.true_log_prob(good + 2 * (good == 0))
    with pytest.raises(ValueError, match="shape"):
        task.true_log_prob(good[..., :-1])


def test_splits_are_different_streams() -> None:
    task = IsingTask()
    train, test = task.load("train"), task.load("test")
    assert not torch.equal(train.events[: len(test)], test.events)


def test_equal_events_are_as_the_readme_says() -> None:
    found = [t.load("test").num_events_also_in(t.load("train")) for t in (cls() for cls in TASKS)]
    assert found == [35, 963, 2, 0]
