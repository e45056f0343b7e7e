"""Ensembles: the log-mean-exp of joint probabilities, and samples of that mixture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brute_force import chi_square_p, counts, scored_after, table_log_probs, table_model
from torch import nn

from arbench.probability.density import Density
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import EventSpec
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.toys import TINY_SPECS, all_events

SPEC = TINY_SPECS["binary-2x3"]


def members(spec: EventSpec = SPEC, count: int = 3) -> list[Model]:
    """Tables over different orders."""
    return [table_model(Layout.permuted(spec, seed), seed=seed) for seed in range(count)]


@pytest.mark.parametrize("spec", TINY_SPECS.values(), ids=TINY_SPECS)
def test_probabilities_are_averaged_and_sum_to_one(spec: EventSpec) -> None:
    models = members(spec)
    ensemble = Ensemble(models)
    assert isinstance(ensemble, Density)
    found = ensemble.log_prob(all_events(spec)).exp().detach()
    expected = np.mean([np.exp(table_log_probs(m)) for m in models], axis=0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
    assert found.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("spec", TINY_SPECS.values(), ids=TINY_SPECS)
def test_parts_of_dims_sum_to_the_whole_whatever_the_orders(spec: EventSpec) -> None:
    ensemble = Ensemble(members(spec))
    events = all_events(spec)[::7]
    scored = scored_after(spec, len(events))
    for mask in (None, scored, torch.zeros_like(scored)):
        parts = ensemble.dim_log_probs(events, mask)
        whole = ensemble.log_prob(events, mask)
        torch.testing.assert_close(parts.flatten(1).sum(1), whole, rtol=0, atol=1e-10)
        assert mask is None or not parts[~mask].any()


def test_parts_of_dims_are_those_of_the_member_that_made_the_event() -> None:
    """A member that cannot have made it has no say, and not to know the member costs log M."""
    likely, unlikely = (table_model(Layout(SPEC), seed=s, scale=2.0) for s in (0, 1))
    events = all_events(SPEC)
    twice = Ensemble([likely, likely]).dim_log_probs(events)
    torch.testing.assert_close(twice, likely.dim_log_probs(events), rtol=0, atol=1e-12)
    with torch.no_grad():
        for table in unlikely.network.tables:
            table.fill_(-200.0)
    event = torch.ones_like(events[:1])
    found = Ensemble([likely, unlikely]).dim_log_probs(event)
    expected = likely.dim_log_probs(event) - np.log(2) / SPEC.num_dims
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_averaged_logits_do_not_sum_to_one() -> None:
    """Dim by dim, logits of members in different orders condition on each other's future."""
    models = members()
    events = all_events(SPEC)
    logits = torch.stack([m.layout.to_events(m.network(m.layout.to_sites(events))) for m in models])
    signed = (2 * events - 1) * logits.mean(0)
    total = nn.functional.logsigmoid(signed).flatten(1).sum(1).exp().sum().item()
    assert abs(total - 1) > 0.01


def test_one_member_is_itself_and_the_mean_is_no_worse_than_the_average() -> None:
    models = members()
    events = all_events(SPEC)
    alone = Ensemble(models[:1]).log_prob(events)
    torch.testing.assert_close(alone, models[0].log_prob(events), rtol=0, atol=1e-14)
    averaged = torch.stack([m.log_prob(events) for m in models]).mean(0)
    assert bool((Ensemble(models).log_prob(events) >= averaged - 1e-12).all())


def test_log_mean_exp_survives_tiny_probabilities() -> None:
    """Joint probabilities of long events underflow; their logs do not."""
    spec = EventSpec((3,), SPEC.domain)
    models = [table_model(Layout(spec), seed=s, scale=1e3) for s in (0, 1)]
    found = Ensemble(models).log_prob(all_events(spec))
    assert bool(found.isfinite().all())
    expected = np.logaddexp(*(m.log_prob(all_events(spec)).detach().numpy() for m in models))
    np.testing.assert_allclose(found.detach().numpy(), expected - np.log(2), rtol=1e-12)


def test_scored_masks_are_in_event_terms() -> None:
    """Members in different orders leave the same dims out."""
    models = members()
    events = all_events(SPEC)
    scored = torch.ones(events.shape, dtype=torch.bool)
    scored[:, 0, 0, :] = False
    per_member = [
        (m.layout.to_events(m.site_log_probs(events)[..., None]) * scored).flatten(1).sum(1)
        for m in models
    ]
    expected = torch.stack(per_member).logsumexp(0) - np.log(3)
    torch.testing.assert_close(Ensemble(models).log_prob(events, scored), expected)


def test_samples_follow_the_mixture() -> None:
    ensemble = Ensemble(members())
    samples = ensemble.sample(8000, generator=torch.Generator().manual_seed(0))
    probs = ensemble.log_prob(all_events(SPEC)).exp().detach().numpy()
    assert chi_square_p(counts(samples, SPEC), probs) > 1e-4
    assert chi_square_p(counts(samples, SPEC), np.exp(table_log_probs(members()[0]))) < 1e-12


def test_samplers_agree_for_equal_noise() -> None:
    ensemble = Ensemble(members())
    noise = ensemble.draw_noise(100, torch.Generator().manual_seed(1))
    assert noise.shape == (100, 7, 1)
    drawn = [ensemble.sample(100, noise=noise, method=method) for method in ensemble.samplers]
    assert all(torch.equal(drawn[0], other) for other in drawn[1:])


def test_the_first_uniform_chooses_the_member() -> None:
    models = members()
    noise = Ensemble(models).draw_noise(60, torch.Generator().manual_seed(2))
    drawn = Ensemble(models).sample(60, noise=noise)
    for event, own in zip(drawn, noise, strict=True):
        model = models[int(own[0, 0] * 3)]
        assert torch.equal(event, model.sample(1, noise=own[None, 1:])[0])


def test_samples_stand_beside_the_member_that_drew_them() -> None:
    ensemble = Ensemble(members())
    samples = ensemble.sample(60, generator=torch.Generator().manual_seed(2))
    noise = ensemble.draw_noise(60, torch.Generator().manual_seed(2))
    found = dict(ensemble.by_member(samples, torch.Generator().manual_seed(2)))
    assert list(found) == list(ensemble.members)
    for number, own in enumerate(found.values()):
        rows = (noise[:, 0, 0] * 3).long() == number
        assert torch.equal(own, samples[rows])


def test_noise_is_drawn_event_by_event_the_member_s_uniform_first() -> None:
    """So that the first samples of a seed are the same however many are drawn."""
    ensemble = Ensemble(members())
    drawn = ensemble.draw_noise(3, torch.Generator().manual_seed(7))
    stream = torch.rand(21, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    assert torch.equal(drawn.flatten(), stream)
    samples = [
        ensemble.sample(count, generator=torch.Generator().manual_seed(7)) for count in (3, 2)
    ]
    assert torch.equal(samples[0][:2], samples[1])


def test_weights_may_be_shared() -> None:
    first = table_model(Layout(SPEC))
    second = Model(first.network, first.head, Layout.permuted(SPEC, 1))
    ensemble = Ensemble([first, second])
    assert len(list(ensemble.parameters())) == len(list(first.parameters()))
    total = ensemble.log_prob(all_events(SPEC)).exp().sum().item()
    assert total == pytest.approx(1, abs=1e-12)


def test_members_describe_the_same_events() -> None:
    with pytest.raises(ValueError, match="at least one member"):
        Ensemble([])
    other = table_model(Layout(TINY_SPECS["sequence-5"]))
    with pytest.raises(ValueError, match="the same events"):
        Ensemble([*members(), other])
    with pytest.raises(ValueError, match="num_events must be at least 1"):
        Ensemble(members()).sample(0)
