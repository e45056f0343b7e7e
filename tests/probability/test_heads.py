"""Heads: log-probabilities against numpy, samples against exact frequencies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Bernoulli, Categorical, Head, natural_head
from arbench.probability.layouts import Layout

LOGITS = st.floats(-30, 30)
WILD_LOGITS = st.floats(-1e4, 1e4)
LARGEST_UNIFORM = 1 - 2.0**-53


def one_dim(size: int) -> Layout:
    return Layout(EventSpec((1,), Discrete(size)))


def bernoulli() -> Bernoulli:
    return Bernoulli(one_dim(2))


def categorical(size: int) -> Categorical:
    return Categorical(one_dim(size))


def log_probs(head: Head, params: list[float], size: int) -> torch.Tensor:
    """Of every value, `(K,)` float64."""
    repeated = torch.tensor(params, dtype=torch.float64).expand(size, -1)
    return head.log_prob(repeated, torch.arange(size)[:, None])


@given(LOGITS)
def test_bernoulli_is_the_sigmoid(logit: float) -> None:
    prob_one = 1 / (1 + np.exp(-np.float64(logit)))
    prob_zero = 1 / (1 + np.exp(np.float64(logit)))
    found = log_probs(bernoulli(), [logit], 2).exp().numpy()
    np.testing.assert_allclose(found, [prob_zero, prob_one], rtol=1e-12)


@given(st.lists(LOGITS, min_size=2, max_size=9))
def test_categorical_is_the_softmax(logits: list[float]) -> None:
    weights = np.exp(np.array(logits))
    found = log_probs(categorical(len(logits)), logits, len(logits)).exp().numpy()
    np.testing.assert_allclose(found, weights / weights.sum(), rtol=1e-12)


@given(st.lists(WILD_LOGITS, min_size=2, max_size=9))
def test_probabilities_of_the_alphabet_sum_to_one(logits: list[float]) -> None:
    for head, params, size in (
        (bernoulli(), logits[:1], 2),
        (categorical(len(logits)), logits, len(logits)),
    ):
        values = log_probs(head, params, size)
        assert bool(values.isfinite().all())
        assert values.exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_are_exact(dtype: torch.dtype) -> None:
    for logit in (1e4, -1e4):
        params = torch.tensor([[logit], [logit]], dtype=dtype, requires_grad=True)
        found = bernoulli().log_prob(params, torch.tensor([[0], [1]]))
        assert found.tolist() == [-max(logit, 0), min(logit, 0)]
        torch.autograd.backward(found.sum())
        assert params.grad is not None
        assert params.grad.flatten().tolist() == ([-1, 0] if logit > 0 else [0, 1])
    spread = torch.tensor([1e4, -1e4, 0], dtype=dtype).expand(3, 3)
    found = categorical(3).log_prob(spread, torch.arange(3)[:, None])
    assert found.tolist() == [0, -2e4, -1e4]


def test_log_prob_keeps_the_dtype_and_batch_shape() -> None:
    for dtype in (torch.float32, torch.float64):
        value = torch.zeros(2, 3, 1, dtype=torch.int64)
        assert bernoulli().log_prob(torch.zeros(2, 3, 1, dtype=dtype), value).dtype == dtype
        found = categorical(5).log_prob(torch.zeros(2, 3, 5, dtype=dtype), value)
        assert (found.dtype, found.shape) == (dtype, (2, 3))


@given(st.lists(st.integers(1, 40), min_size=2, max_size=7))
def test_a_uniform_grid_of_noise_gives_exact_frequencies(weights: list[int]) -> None:
    """N cell midpoints of [0, 1): a value of probability n/N is drawn exactly n times."""
    total = sum(weights)
    noise = ((torch.arange(total).double() + 0.5) / total)[:, None]
    params = torch.tensor(weights).double().log().expand(total, -1)
    drawn = categorical(len(weights)).sample(params, noise)
    assert (drawn.dtype, drawn.shape) == (torch.int64, (total, 1))
    assert torch.bincount(drawn[:, 0], minlength=len(weights)).tolist() == weights
    assert bool((drawn.diff(dim=0) >= 0).all())  # an inverse CDF does not go down
    zero, one = weights[0], total - weights[0]
    logit = torch.tensor(one / zero).double().log().expand(total, 1)
    assert int(bernoulli().sample(logit, noise).sum()) == one


@given(st.lists(WILD_LOGITS, min_size=2, max_size=9))
def test_the_ends_of_the_noise_give_possible_values(logits: list[float]) -> None:
    params = torch.tensor(logits, dtype=torch.float64)
    probs = params.softmax(0)
    for uniform in (0.0, 0.5, LARGEST_UNIFORM):
        value = int(
            categorical(len(logits)).sample(params, torch.tensor([uniform], dtype=torch.float64))
        )
        assert 0 <= value < len(logits)
        assert probs[value] > 0


@pytest.mark.parametrize("size", [3, 5, 17, 257])
def test_impossible_last_values_are_never_drawn(size: int) -> None:
    """However the cumulative sum was rounded: the edges before them are exactly 1."""
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        params = torch.randn(size, generator=generator, dtype=torch.float64)
        params[-1] = -1e4
        drawn = categorical(size).sample(
            params, torch.tensor([LARGEST_UNIFORM], dtype=torch.float64)
        )
        assert int(drawn) == size - 2


def test_certain_outcomes_are_certain() -> None:
    noise = torch.tensor([[0.0], [0.5], [LARGEST_UNIFORM]], dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        for logit, value in ((1e4, 1), (-1e4, 0)):
            params = torch.full((3, 1), logit, dtype=dtype)
            assert bernoulli().sample(params, noise).flatten().tolist() == [value] * 3
        for value in range(4):
            params = torch.full((3, 4), -1e4, dtype=dtype)
            params[:, value] = 0
            assert categorical(4).sample(params, noise).flatten().tolist() == [value] * 3


def test_the_edge_itself_belongs_to_the_value_above() -> None:
    quarter = torch.tensor([0.25], dtype=torch.float64)
    below = torch.tensor([np.nextafter(0.25, 0)], dtype=torch.float64)
    params = torch.zeros(4, dtype=torch.float64)
    assert [int(categorical(4).sample(params, u)) for u in (below, quarter)] == [0, 1]
    half = torch.tensor([0.5], dtype=torch.float64)
    under = torch.tensor([np.nextafter(0.5, 0)], dtype=torch.float64)
    fair = torch.zeros(1, dtype=torch.float64)
    assert [int(bernoulli().sample(fair, u)) for u in (under, half)] == [0, 1]


def test_heads_are_chosen_from_the_domain() -> None:
    assert isinstance(natural_head(one_dim(2)), Bernoulli)
    assert isinstance(natural_head(one_dim(3)), Categorical)


def test_heads_refuse_what_they_cannot_describe() -> None:
    colour = EventSpec((3, 1, 2), Discrete(4))
    assert Categorical(Layout(colour)).num_params == 4
    with pytest.raises(ValueError, match="needs binary dims"):
        Bernoulli(Layout(colour))
    with pytest.raises(ValueError, match="one dim at a time"):
        Categorical(Layout(colour, sites="pixel"))
    with pytest.raises(ValueError, match="needs discrete data"):
        Categorical(Layout(EventSpec((3,), Real())))
