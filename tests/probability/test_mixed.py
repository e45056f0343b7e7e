"""Rows whose dims have domains of their own: densities against sums, integrals and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from arbench.networks.site_features import SiteFeatures
from arbench.probability.events import Discrete, EventSpec, Mixed, Real
from arbench.probability.heads import MixedHead, natural_head
from arbench.probability.heads.copies import copies_of
from arbench.probability.heads.tempered import at_temperature
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.promises import event_surprise, other_values, site_surprise
from arbench.testing.cells import real_grid
from arbench.testing.toys import LinearNetwork, all_events

SPEC = EventSpec((3,), Mixed((Discrete(3), Real(), Discrete(2))))
WIDE = EventSpec((4,), Mixed((Discrete(2), Real(), Discrete(4), Real())))
ORDERS = pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])


def made(layout: Layout, seed: int = 0) -> Model:
    """A model whose conditionals depend on every dim before them."""
    head = MixedHead(layout, num_components=2, min_log_scale=-3.0)
    torch.manual_seed(seed)
    return Model(LinearNetwork(layout, head.num_params, scale=0.6), head, layout).double().eval()


@ORDERS
def test_sums_and_integrals_of_the_density_give_one(order: list[int]) -> None:
    model = made(Layout(SPEC, order=order))
    points, log_widths, _ = real_grid()
    total = 0.0
    for first in range(3):
        for last in range(2):
            events = torch.tensor([[first, 0, last]]).double().repeat(len(points), 1)
            events[:, 1] = points
            total += (model.log_prob(events) + log_widths).exp().sum().item()
    assert total == pytest.approx(1, abs=1e-7)
    assert model.kind == "density"


def test_dims_of_different_alphabets_have_probabilities() -> None:
    spec = EventSpec((3,), Mixed((Discrete(3), Discrete(2), Discrete(4))))
    model = made(Layout(spec, order=[2, 0, 1]))
    events = all_events(spec)
    assert len(events) == 24
    assert model.log_prob(events).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert model.kind == "exact"


def test_a_row_has_the_product_of_its_heads() -> None:
    head = MixedHead(Layout(WIDE), num_components=2)
    params = torch.randn(4, head.num_params, dtype=torch.float64)
    row = torch.tensor([1.0, 0.3, 2.0, -1.2]).double()
    found = head.log_prob(params, row[:, None]).numpy()
    numbers = params.numpy()
    assert head.num_params == 6
    assert found[0] == pytest.approx(np.log(1 / (1 + np.exp(-numbers[0, 0]))))
    softmax = np.exp(numbers[2, :4]) / np.exp(numbers[2, :4]).sum()
    assert found[2] == pytest.approx(np.log(softmax[2]))
    first = stats.norm.ppf([0.25, 0.75])  # where components lie for parameters of 0
    shrunk = np.sqrt(1 - np.mean(first**2))
    for site in (1, 3):
        means, scales, logits = numbers[site].reshape(3, 2)
        parts = stats.norm.pdf(
            row[site].item(), means + first, np.exp(scales) * shrunk + np.exp(-7)
        )
        weights = np.exp(logits) / np.exp(logits).sum()
        assert found[site] == pytest.approx(np.log((weights * parts).sum()))


def test_sites_together_are_sites_alone() -> None:
    head = MixedHead(Layout.permuted(WIDE, 1))
    params = torch.randn(7, 4, head.num_params, dtype=torch.float64, requires_grad=True)
    noise = torch.rand(7, 4, head.num_uniforms, dtype=torch.float64)
    prepared = head.prepare(noise)
    drawn = head.draw(params, prepared)
    log_probs = head.log_prob(params, drawn)
    assert drawn.shape == (7, 4, 1)
    for site in range(4):
        alone = head.at(site)
        assert torch.equal(alone.prepare(noise[:, site]), prepared[:, site])
        assert torch.equal(alone.sample(params[:, site], noise[:, site]), drawn[:, site])
        own = alone.log_prob(params[:, site], drawn[:, site])
        assert torch.allclose(own, log_probs[:, site], rtol=1e-12, atol=0)
    (grad,) = torch.autograd.grad(log_probs.sum(), params)
    used = (grad != 0).any(0).sum(1).tolist()
    sizes = Layout.permuted(WIDE, 1).domain.sizes  # type: ignore[union-attr]
    # A learned mixture of ten takes thirty numbers, a softmax one for each value, a binary dim one.
    assert used == [{0: 30, 2: 1, 4: 4}[size] for size in sizes]


def test_a_head_of_another_order_is_refused() -> None:
    layout, other = Layout(SPEC), Layout(SPEC, order=[2, 1, 0])
    head = natural_head(other)
    with pytest.raises(ValueError, match="another order"):
        Model(LinearNetwork(layout, head.num_params), head, layout)


def test_what_divides_or_averages_logits_is_refused() -> None:
    model = made(Layout(SPEC))
    with pytest.raises(ValueError, match="other parameters too"):
        at_temperature(model, 0.5)
    with pytest.raises(ValueError, match="copies need a head"):
        copies_of([model.network, model.network], model.head)
    with pytest.raises(ValueError, match="no common list of values"):
        model.reference_path()
    with pytest.raises(ValueError, match=r"needs discrete data.*mixed \(1 real, 1 binary, 1 cat"):
        _ = model.layout.alphabet_size
    assert not hasattr(model, "conditionals")


@ORDERS
def test_completions_are_of_the_conditional(order: list[int]) -> None:
    """Given the first dim of the order, the second is as often what its conditional says."""
    model = made(Layout(SPEC, order=order))
    row = torch.tensor([2.0, 0.25, 1.0])
    known = torch.zeros(3, dtype=torch.bool)
    known[order[0]] = True
    drawn = model.sample(4000, given=row, known=known, generator=torch.Generator().manual_seed(0))
    model.spec.validate(drawn)
    assert bool((drawn[:, order[0]] == row[order[0]]).all())
    second = model.layout.domain_of(1)
    if isinstance(second, Discrete):
        events = row.double().repeat(second.size, 1)
        events[:, order[1]] = torch.arange(second.size).double()
        expected = model.site_log_probs(events)[:, 1].exp()
        found = torch.bincount(drawn[:, order[1]].long(), minlength=second.size) / 4000
        assert torch.allclose(found.double(), expected, atol=0.04)


def test_samples_follow_and_wrong_ones_do_not() -> None:
    model = made(Layout(WIDE, order=[3, 0, 2, 1]))
    generator = torch.Generator().manual_seed(1)
    samples = model.sample(3000, generator=generator)
    for surprise in (site_surprise, event_surprise):
        assert abs(surprise(model, samples, generator).z) < 5  # type: ignore[operator]
    # The values of one column belong to other rows, so that each column alone is as before.
    wrong = samples.clone()
    wrong[:, 2] = wrong[:, 2].roll(1)
    for surprise in (site_surprise, event_surprise):
        assert abs(surprise(model, wrong, generator).z) > 5  # type: ignore[operator]


@pytest.mark.parametrize("axes", [(4,), (4, 1)])
def test_other_values_are_of_the_domain(axes: tuple[int, ...]) -> None:
    values = made(Layout(WIDE)).sample(200, generator=torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(3)
    other = other_values(values.view(200, *axes), WIDE.domain, generator).view(200, 4)
    WIDE.validate(other)
    assert bool((other != values).all())


def test_features_say_what_a_value_is() -> None:
    layout = Layout(SPEC, order=[1, 2, 0])  # a real dim, a binary one, one of three values
    features = SiteFeatures(layout)
    sites = torch.tensor([[[0.5], [1.0], [2.0]], [[-3.0], [0.0], [0.0]]])
    expected = [
        [[0.5, 0, 0], [1, 0, 0], [0, 0, 1]],
        [[-3, 0, 0], [0, 0, 0], [1, 0, 0]],
    ]
    found = features(sites, torch.float64)
    assert found.tolist() == expected
    assert features.is_number == (True, True, False)
    for site in range(3):
        assert torch.equal(features.at(sites[:, site], site, torch.float64), found[:, site])
    plain = SiteFeatures(Layout(EventSpec((2,), Discrete(3))))
    assert plain(torch.tensor([[[2], [0]]]), torch.float32).tolist() == [[[0, 0, 1], [1, 0, 0]]]
