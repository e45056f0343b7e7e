"""Mixture heads against scipy: bins of logistics, Gaussian densities, and their samples."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from brute_force import chi_square_p
from numpy.typing import NDArray
from scipy import integrate, special, stats
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Gaussian, GaussianMixture, Head, LogisticMixture, natural_head
from arbench.probability.heads.components import floored
from arbench.probability.heads.logistic_mixture import log_bin_mass, log_one_minus_exp
from arbench.probability.layouts import Layout

Float = NDArray[np.float64]
LARGEST_UNIFORM = 1 - 2.0**-53
REAL = Layout(EventSpec((1,), Real()))
REAL_HEADS: list[Head] = [
    Gaussian(REAL),
    GaussianMixture(REAL),
    GaussianMixture(REAL, num_components=3, weights="uniform"),
    GaussianMixture(REAL, num_components=1),
]
each_real_head = pytest.mark.parametrize(
    "head", REAL_HEADS, ids=lambda h: f"{h.name}-{h.num_params}"
)


def levels_head(size: int, dims: int = 1, **options: Any) -> LogisticMixture:
    if dims == 1:
        return LogisticMixture(Layout(EventSpec((1,), Discrete(size))), **options)
    return LogisticMixture(
        Layout(EventSpec((dims, 1, 1), Discrete(size)), sites="pixel"), **options
    )


def all_values(head: Head) -> Tensor:
    layout = head.layout
    return torch.tensor(
        list(itertools.product(range(layout.alphabet_size), repeat=layout.site_dim))
    )


def random_params(head: Head, seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(head.num_params, generator=generator, dtype=torch.float64)


def uniforms(head: Head, num: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num, head.num_uniforms, generator=generator, dtype=torch.float64)


def bin_masses(mean: Float, scale: Float, size: int) -> Float:
    """Of every level, `(L, ...)`: each tail from the side where scipy is accurate."""
    edges = np.linspace(-1, 1, size)[1:] - 1 / (size - 1)
    shape = (-1, *[1] * mean.ndim)
    below = np.concatenate((np.zeros((1, *mean.shape)), _cdf(edges, mean, scale, shape)))
    below = np.concatenate((below, np.ones((1, *mean.shape))))
    above = np.concatenate((np.ones((1, *mean.shape)), _cdf(-edges, -mean, scale, shape)))
    above = np.concatenate((above, np.zeros((1, *mean.shape))))
    left, right = below[1:] - below[:-1], above[:-1] - above[1:]
    return np.where(below[1:] < 0.5, left, right)


def _cdf(edges: Float, mean: Float, scale: Float, shape: tuple[int, ...]) -> Float:
    return stats.logistic.cdf(edges.reshape(shape), loc=mean, scale=scale)


def scipy_log_probs(head: LogisticMixture, params: Tensor) -> Float:
    """Of `all_values`, from the definition: a sum over components of products of bin masses."""
    num, dims, size = head.num_components, head.layout.site_dim, head.num_levels
    total = np.zeros(len(all_values(head)))
    groups = params.numpy().reshape(num, -1)
    weights = special.softmax(groups[:, 0])
    for k, group in enumerate(groups):
        means, raw, couplings = np.split(group[1:], [dims, 2 * dims])
        floor = head.min_log_scale
        scales = np.exp(floor + np.logaddexp(0, raw - np.log(2 * num) - floor))
        for row, value in enumerate(all_values(head).numpy()):
            mass, pairs = weights[k], iter(np.tanh(couplings))
            x = 2 * value / (size - 1) - 1
            for c in range(dims):
                mean = means[c] + (2 * k + 1) / num - 1
                mean += sum(next(pairs) * x[e] for e in range(c))
                mass *= bin_masses(np.array(mean), np.array(scales[c]), size)[value[c]]
            total[row] += mass
    return np.log(total)


@pytest.mark.parametrize(("size", "dims"), [(2, 1), (5, 1), (256, 1), (4, 3), (3, 2)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_logistic_mixture_is_scipys(size: int, dims: int, scale: float) -> None:
    head = levels_head(size, dims, num_components=3)
    params = random_params(head, seed=size, scale=scale)
    found = head.log_prob(params.expand(len(all_values(head)), -1), all_values(head))
    np.testing.assert_allclose(found.numpy(), scipy_log_probs(head, params), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("size", "dims"), [(2, 1), (3, 1), (256, 1), (65536, 1), (4, 3)])
@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0, 1e4])
def test_probabilities_of_all_levels_sum_to_one(size: int, dims: int, scale: float) -> None:
    head = levels_head(size, dims)
    values = all_values(head)
    for seed in range(5):
        params = random_params(head, seed, scale)
        found = head.log_prob(params.expand(len(values), -1), values)
        assert bool(found.isfinite().all())
        assert found.exp().sum().item() == pytest.approx(1, abs=1e-9)
        single = head.log_prob(params.float().expand(len(values), -1), values)
        assert single.dtype == torch.float32
        assert bool(single.isfinite().all())
        assert single.double().exp().sum().item() == pytest.approx(1, abs=2e-5)


@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 0.0, 5.0, 30.0, 200.0])
@pytest.mark.parametrize("mean", [-1e4, -3.0, -1.0, 0.003, 0.5, 1.0, 1e4])
@pytest.mark.parametrize("size", [2, 3, 256])
def test_bins_of_one_logistic_at_extremes(size: int, mean: float, log_scale: float) -> None:
    loc, width = (torch.tensor(x, dtype=torch.float64) for x in (mean, log_scale))
    found = log_bin_mass(torch.arange(size), loc, width, size)
    assert bool(found.isfinite().all())
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)
    expected = bin_masses(np.array(mean), np.exp(np.array(log_scale)), size)
    np.testing.assert_allclose(found.exp().numpy(), expected, rtol=1e-6, atol=1e-14)


def test_masses_far_in_the_tail_are_those_of_the_exponential() -> None:
    """Where sigmoids are 1 to the last bit, their difference is still known."""
    mean, log_scale = torch.tensor(-60.0).double(), torch.tensor(0.0).double()
    found = log_bin_mass(torch.arange(1, 255), mean, log_scale, 256)
    edges = np.linspace(-1, 1, 256)[1:] - 1 / 255
    expected = -edges[:-1] - 60 + np.log(-np.expm1(-2 / 255))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13)


def test_log_one_minus_exp_at_every_size() -> None:
    log_widths = np.array([-300.0, -80.0, -20.0, -6.91, -6.9, -3.0, 0.0, 2.0, 5.0])
    expected = np.log(-np.expm1(-np.exp(log_widths)))
    found = log_one_minus_exp(torch.tensor(log_widths))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-300)
    tiny = torch.tensor(-120.0, requires_grad=True)  # exp is 0 in float32
    log_one_minus_exp(tiny).backward()
    assert log_one_minus_exp(tiny).item() == -120
    assert tiny.grad is not None
    assert tiny.grad.item() == 1


@pytest.mark.parametrize("head", [levels_head(7), levels_head(4, 3), *REAL_HEADS[:3]])
def test_gradients_are_those_of_finite_differences(head: Head) -> None:
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(6, head.num_params, generator=generator, dtype=torch.float64)
    if isinstance(head.layout.domain, Discrete):
        value = torch.randint(4, (6, head.layout.site_dim), generator=generator)
        value[0], value[1] = 0, head.layout.alphabet_size - 1
    else:
        value = torch.randn(6, 1, generator=generator, dtype=torch.float64)
    params.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: head.log_prob(p, value), (params,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("head", [levels_head(256), levels_head(4, 3), *REAL_HEADS])
def test_gradients_are_finite_at_extremes(head: Head, dtype: torch.dtype) -> None:
    discrete = isinstance(head.layout.domain, Discrete)
    for scale, seed in itertools.product((10.0, 100.0), range(20)):
        params = random_params(head, seed, scale).to(dtype).requires_grad_()
        values = all_values(head)[:64] if discrete else torch.tensor([[-50.0], [0], [1e3]])
        found = head.log_prob(params, values if discrete else values.to(dtype))
        found.sum().backward()
        assert bool(found.isfinite().all())
        assert params.grad is not None
        assert bool(params.grad.isfinite().all())


def test_a_scale_below_its_floor_finds_its_way_back() -> None:
    """Its gradient is small but not zero, unlike that of a clamp."""
    raw = torch.tensor([-20.0, -7.0, 0.0, 50.0], dtype=torch.float64, requires_grad=True)
    held = floored(raw, -7.0)
    assert held.min().item() >= -7
    assert held[-1].item() == 50
    held.sum().backward()
    assert raw.grad is not None
    assert bool((raw.grad > 0).all())


def test_zero_parameters_are_near_uniform_levels_with_components_apart() -> None:
    head = levels_head(256)
    params = torch.zeros(256, head.num_params, dtype=torch.float64, requires_grad=True)
    found = head.log_prob(params, all_values(head))
    nats = -found.mean().item()  # under uniform data
    assert np.log(256) < nats < np.log(256) + 0.1
    found[30].backward()
    assert params.grad is not None
    assert len(set(params.grad[30].reshape(10, 3)[:, 1].tolist())) == 10


@pytest.mark.parametrize("weights", ["learned", "uniform"])
@pytest.mark.parametrize("num", [1, 2, 10])
def test_zero_parameters_are_near_a_standard_normal(num: int, weights: Any) -> None:
    head = GaussianMixture(REAL, num_components=num, weights=weights)
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = head.log_prob(torch.zeros(4001, head.num_params).double(), grid[:, None]).exp()
    assert torch.trapezoid(density * grid**2, grid).item() == pytest.approx(1, abs=0.01)


def scipy_log_density(head: Head, params: Float, x: float) -> float:
    """Of one value, from the definition."""
    if isinstance(head, Gaussian):
        return float(stats.norm.logpdf(x, params[0], np.exp(np.logaddexp(0, params[1] + 7) - 7)))
    assert isinstance(head, GaussianMixture)
    num = head.num_components
    quantiles = stats.norm.ppf((np.arange(num) + 0.5) / num)
    width = 0.5 * np.log(1 - np.mean(quantiles**2))
    means, raw = params[:num] + quantiles, params[num : 2 * num] + width
    logits = params[2 * num :] if head.weights == "learned" else np.zeros(num)
    scales = np.exp(np.logaddexp(0, raw + 7) - 7)
    log_weights = np.log(special.softmax(logits))
    return float(special.logsumexp(log_weights + stats.norm.logpdf(x, means, scales)))


@each_real_head
def test_densities_are_scipys_and_integrate_to_one(head: Head) -> None:
    for seed in range(3):
        params = random_params(head, seed)

        def density(x: float, params: Tensor = params) -> float:
            return head.log_prob(params, torch.tensor([x], dtype=torch.float64)).exp().item()

        for x in (-3.0, 0.1, 2.0):
            expected = scipy_log_density(head, params.numpy(), x)
            assert np.log(density(x)) == pytest.approx(expected, rel=1e-10)
        pieces = [integrate.quad(density, a, a + 2, limit=200)[0] for a in range(-60, 60, 2)]
        assert sum(pieces) == pytest.approx(1, abs=1e-9)


def test_the_floor_bounds_the_density() -> None:
    for head in (Gaussian(REAL, min_log_scale=-2), GaussianMixture(REAL, min_log_scale=-2)):
        params = torch.full((head.num_params,), -1e4, dtype=torch.float64)
        best = head.log_prob(params, torch.full((1,), -1e4, dtype=torch.float64)).item()
        assert best <= 2 - 0.5 * np.log(2 * np.pi) + 1e-9


def test_gaussian_samples_are_scipys_quantiles() -> None:
    noise = torch.tensor([1e-12, 0.01, 0.5, 0.9, LARGEST_UNIFORM], dtype=torch.float64)[:, None]
    params = torch.tensor([2.0, -1.0], dtype=torch.float64)
    found = Gaussian(REAL).sample(params.expand(5, -1), noise)
    scale = np.exp(np.logaddexp(0, 6) - 7)
    np.testing.assert_allclose(found, stats.norm.ppf(noise, 2, scale), rtol=1e-12)


@pytest.mark.parametrize("weights", ["learned", "uniform"])
def test_gaussian_mixture_samples_are_quantiles_of_the_chosen_component(weights: Any) -> None:
    head = GaussianMixture(REAL, num_components=2, weights=weights)
    means, raw, logits = [-5.0, 5.0], [0.3, -0.4], [np.log(0.2), np.log(0.8)]
    params = torch.tensor(means + raw + (logits if weights == "learned" else [])).double()
    first = 0.2 if weights == "learned" else 0.5
    for u0, u1 in itertools.product((0.0, 0.1999, 0.2001, 0.4999, 0.5001, 0.99), (0.03, 0.7)):
        noise = torch.tensor([u0, u1], dtype=torch.float64)
        k = 0 if u0 < first else 1
        start = stats.norm.ppf([0.25, 0.75])
        scale = np.exp(np.logaddexp(0, raw[k] + 0.5 * np.log(1 - np.mean(start**2)) + 7) - 7)
        expected = stats.norm.ppf(u1, means[k] + start[k], scale)
        assert head.sample(params, noise).item() == pytest.approx(expected, rel=1e-7)


@each_real_head
def test_real_samples_follow_the_density(head: Head) -> None:
    """Kolmogorov-Smirnov against the integral of exp(log_prob)."""
    params = random_params(head, seed=7)
    drawn = head.sample(params.expand(4000, -1), uniforms(head, 4000, seed=8))
    grid = torch.linspace(-40, 40, 200_001, dtype=torch.float64)
    density = head.log_prob(params.expand(len(grid), -1), grid[:, None]).exp().numpy()
    cdf = integrate.cumulative_trapezoid(density, grid.numpy(), initial=0)
    result = stats.kstest(drawn[:, 0].numpy(), lambda x: np.interp(x, grid.numpy(), cdf))
    assert result.pvalue > 1e-4


@pytest.mark.parametrize("size", [2, 5, 16])
def test_a_uniform_grid_of_noise_gives_the_exact_frequencies_of_levels(size: int) -> None:
    """Of N midpoints each level gets N times its probability, give or take one at each edge."""
    head = levels_head(size, num_components=1)
    num = 20_000
    grid = (torch.arange(num).double() + 0.5) / num
    noise = torch.stack((torch.full_like(grid, 0.5), grid), -1)
    for seed, scale in itertools.product(range(5), (0.3, 2.0)):
        params = random_params(head, seed, scale)
        drawn = head.sample(params.expand(num, -1), noise)[:, 0]
        assert bool((drawn.diff() >= 0).all())  # an inverse CDF does not go down
        probs = head.log_prob(params.expand(size, -1), all_values(head)).exp()
        found = torch.bincount(drawn, minlength=size)
        assert (found - num * probs).abs().max().item() <= 1


@pytest.mark.parametrize(("size", "dims"), [(4, 1), (4, 3), (3, 2), (64, 1)])
def test_samples_of_levels_follow_the_probabilities(size: int, dims: int) -> None:
    head, num = levels_head(size, dims, num_components=3), 20_000
    values = all_values(head)
    for seed in range(3):
        params = random_params(head, seed)
        drawn = head.sample(params.expand(num, -1), uniforms(head, num, seed))
        assert (drawn.dtype, drawn.shape) == (torch.int64, (num, dims))
        codes = (drawn * size ** torch.arange(dims - 1, -1, -1)).sum(-1)
        probs = head.log_prob(params.expand(len(values), -1), values).exp().numpy()
        found = torch.bincount(codes, minlength=len(values)).numpy()
        assert chi_square_p(found, probs) > 1e-4


def test_later_channels_follow_the_drawn_levels_and_not_what_was_rounded() -> None:
    """With one component, red decides where green lies; red's own uniform must not matter."""
    head = levels_head(4, 3, num_components=1)
    # logit, three means, three log-scales, couplings (green, red), (blue, red), (blue, green).
    params = torch.tensor([0, 0, 0, 0, 0.5, -2, -2, 20, 0, 20], dtype=torch.float64)
    grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    noise = torch.stack((torch.zeros(999), grid, *torch.full((2, 999), 0.5)), -1).double()
    drawn = head.sample(params.expand(999, -1), noise)
    assert {tuple(row) for row in drawn.tolist()} == {(k, k, k) for k in range(4)}


def test_the_ends_of_the_noise_give_possible_levels() -> None:
    for head, scale, seed in itertools.product(
        (levels_head(256), levels_head(4, 3)), (1.0, 100.0), range(10)
    ):
        params = random_params(head, seed, scale)
        for u in (0.0, LARGEST_UNIFORM):
            drawn = head.sample(params, torch.full((head.num_uniforms,), u, dtype=torch.float64))
            head.layout.spec.validate(drawn.reshape(1, *head.layout.spec.shape))
            assert head.log_prob(params, drawn).exp().item() > 0


def test_numbers_of_parameters_and_uniforms() -> None:
    assert (levels_head(256).num_params, levels_head(256).num_uniforms) == (30, 2)
    assert (levels_head(256, 3).num_params, levels_head(256, 3).num_uniforms) == (100, 4)
    assert [(h.num_params, h.num_uniforms) for h in REAL_HEADS] == [(2, 1), (30, 2), (6, 2), (3, 2)]


def test_real_dims_and_pixels_have_a_natural_head() -> None:
    assert isinstance(natural_head(REAL), GaussianMixture)
    pixel = Layout(EventSpec((3, 1, 2), Discrete(4)), sites="pixel")
    assert isinstance(natural_head(pixel), LogisticMixture)


def test_what_cannot_be_described_is_refused() -> None:
    levels = Layout(EventSpec((4,), Discrete(3)))
    real_pixels = Layout(EventSpec((3, 1, 1), Real()), sites="pixel")
    for head in (Gaussian, GaussianMixture):
        for layout in (levels, real_pixels):
            with pytest.raises(ValueError, match="needs real dims drawn one at a time"):
                head(layout)
    with pytest.raises(ValueError, match="needs discrete data"):
        LogisticMixture(REAL)
    with pytest.raises(ValueError, match="num_components is at least 1, got 0"):
        LogisticMixture(levels, num_components=0)
    with pytest.raises(ValueError, match="num_components is at least 1, got 0"):
        GaussianMixture(REAL, num_components=0)
    with pytest.raises(ValueError, match="weights is 'learned' or 'uniform', got 'equal'"):
        GaussianMixture(REAL, weights="equal")  # type: ignore[arg-type]


@pytest.mark.parametrize("before", [(), (2,), (0, 4)])
def test_the_next_dim_of_a_pixel_has_what_all_later_ones_leave_it(before: tuple[int, ...]) -> None:
    """The sum over all values of the later dims, by brute force."""
    head = levels_head(5, dims=3, num_components=3)
    torch.manual_seed(3)
    params = 2 * torch.randn(4, head.num_params, dtype=torch.float64)
    probs = torch.zeros(4, *[5] * (3 - len(before)), dtype=torch.float64)
    for rest in itertools.product(range(5), repeat=3 - len(before)):
        value = torch.tensor([*before, *rest]).expand(4, -1)
        probs[(slice(None), *rest)] = head.log_prob(params, value).exp()
    left = probs.flatten(2).sum(-1) if probs.dim() > 2 else probs
    expected = (left / left.sum(-1, keepdim=True)).log()
    known = torch.tensor(before, dtype=torch.int64).expand(4, -1)
    torch.testing.assert_close(head.next_log_probs(params, known), expected, rtol=1e-9, atol=1e-9)
