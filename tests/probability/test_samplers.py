"""Samplers: equal samples for equal noise, and samples that follow `log_prob`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brute_force import LAYOUTS, chi_square_p, counts, known_prefix, table_log_probs, table_model

from arbench.probability import samplers as sampling
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import Bernoulli, Categorical, Gaussian
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.samplers import draw_noise, prepare_noise
from arbench.testing.toys import (
    JointCategorical,
    LinearNetwork,
    SteppingTable,
    TableNetwork,
    all_events,
)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_three_samplers_give_equal_samples(layout: Layout) -> None:
    model = table_model(layout)
    assert model.samplers == ("step", "fixed-point", "whole")
    noise = model.draw_noise(200, torch.Generator().manual_seed(0))
    whole = model.sample(200, noise=noise, method="whole")
    assert (whole.dtype, whole.shape) == (torch.int64, (200, *layout.spec.shape))
    for method in ("step", "fixed-point", "auto"):
        assert torch.equal(model.sample(200, noise=noise, method=method), whole)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_samplers_agree_and_keep_a_given_prefix(layout: Layout) -> None:
    model = table_model(layout)
    noise = model.draw_noise(100, torch.Generator().manual_seed(1))
    given = model.sample(100, generator=torch.Generator().manual_seed(2))
    for length in range(layout.num_sites + 1):
        known = known_prefix(layout, length)
        drawn = [
            model.sample(100, noise=noise, method=method, given=given, known=known)
            for method in model.samplers
        ]
        assert all(torch.equal(drawn[0], other) for other in drawn[1:])
        assert torch.equal(drawn[0][:, known], given[:, known])


def test_pixel_sites_agree_and_follow_log_prob() -> None:
    layout = Layout(EventSpec((2, 1, 3), Discrete(2)), order=[2, 0, 1], sites="pixel")
    head = JointCategorical(layout)
    network = SteppingTable(layout, head.num_params, scale=2.0)
    model = Model(network, head, layout).double()
    noise = model.draw_noise(4000, torch.Generator().manual_seed(3))
    drawn = [model.sample(4000, noise=noise, method=method) for method in model.samplers]
    assert all(torch.equal(drawn[0], other) for other in drawn[1:])
    probs = model.log_prob(all_events(layout.spec)).exp().detach().numpy()
    assert chi_square_p(counts(drawn[0], layout.spec), probs) > 1e-4


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_samples_follow_sharpened_log_probs(layout: Layout) -> None:
    model = table_model(layout, scale=3.0)
    samples = model.sample(8000, generator=torch.Generator().manual_seed(4))
    probs = np.exp(table_log_probs(model))
    found = counts(samples, layout.spec)
    assert chi_square_p(found, probs) > 1e-4
    assert chi_square_p(np.roll(found, 1), probs) < 1e-12  # the test can fail


def test_samples_depend_on_the_generator_alone() -> None:
    model = table_model(LAYOUTS["sequence-5-raster"])
    first = model.sample(20, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(1234)
    assert torch.equal(first, model.sample(20, generator=torch.Generator().manual_seed(5)))
    assert not torch.equal(first, model.sample(20, generator=torch.Generator().manual_seed(6)))


def test_a_generator_is_the_noise_that_it_draws() -> None:
    model = table_model(LAYOUTS["sequence-5-raster"])
    noise = draw_noise(20, 5, 1, torch.Generator().manual_seed(7))
    assert (noise.dtype, noise.shape) == (torch.float64, (20, 5, 1))
    drawn = model.sample(20, generator=torch.Generator().manual_seed(7))
    assert torch.equal(drawn, model.sample(20, noise=noise))


def test_noise_is_drawn_event_by_event_then_site_by_site() -> None:
    """So that the first samples of a seed are the same however many are drawn."""
    drawn = draw_noise(3, 2, 2, torch.Generator().manual_seed(7))
    stream = torch.rand(12, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    assert torch.equal(drawn.flatten(), stream)
    assert torch.equal(drawn[:2], draw_noise(2, 2, 2, torch.Generator().manual_seed(7)))


def test_noise_of_a_seed_is_the_same_on_every_machine() -> None:
    """The generator's integers, 53 bits each: what every sample of every seed is made of."""
    drawn = draw_noise(2, 2, 1, torch.Generator().manual_seed(7)) * 2**53
    assert drawn.long().flatten().tolist() == [
        2516435200042180,
        2465213813631478,
        7765043079598291,
        5914923542591079,
    ]


def test_fixed_point_needs_few_rounds_when_dependence_is_weak() -> None:
    """Without dependence the first round is the sample, and the second one finds out."""
    layout = Layout(EventSpec((30,), Discrete(2)))
    network = LinearNetwork(layout, 1)
    torch.nn.init.zeros_(network.weight)
    model = Model(network, Bernoulli(layout), layout).double()
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    model.sample(50, generator=torch.Generator().manual_seed(8), method="fixed-point")
    assert len(calls) <= 2
    calls.clear()
    model.sample(50, generator=torch.Generator().manual_seed(8), method="whole")
    assert len(calls) == 30


@pytest.mark.parametrize("method", ["step", "fixed-point", "whole"])
def test_progress_rises_to_the_number_of_sites(method: str) -> None:
    model = table_model(LAYOUTS["binary-3x3-raster"])
    seen: list[tuple[int, int]] = []
    model.sample(4, method=method, progress=lambda done, total: seen.append((done, total)))
    done = [d for d, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == (9, 9)


def test_step_is_offered_only_by_networks_that_have_it() -> None:
    model = table_model(LAYOUTS["binary-2x3-raster"], step=False)
    assert type(model.network) is TableNetwork
    assert model.samplers == ("fixed-point", "whole")
    with pytest.raises(ValueError, match=r"cannot sample by 'step'; it has: fixed-point, whole"):
        model.sample(2, method="step")


@pytest.mark.parametrize("shape", [(3, 5, 1), (4, 6, 1), (4, 5, 2), (4, 4, 1), (4, 5)])
def test_noise_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    model = table_model(LAYOUTS["sequence-5-raster"])
    with pytest.raises(ValueError, match=r"noise \(B, T, U\) has shape \(4, 5, 1\)"):
        model.sample(4, noise=torch.rand(shape, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_stays_below_one_where_types_are_narrow(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "widest_dtype", lambda device: dtype)
    noise = torch.tensor([0.0, 0.25, 1 - 2.0**-53], dtype=torch.float64)
    head = Categorical(Layout(EventSpec((3,), Discrete(4))))  # prepares nothing
    moved = prepare_noise(head, noise, torch.device("cpu"))
    assert moved.dtype == dtype
    assert moved[:2].tolist() == [0.0, 0.25]
    assert 1 - 1e-6 < moved[2].item() < 1


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("has_steps", [True, False])
def test_the_reference_path_says_what_log_prob_says(layout: Layout, has_steps: bool) -> None:
    """Dim by dim, in float64, from a copy; also where somebody skips what nobody asks for."""
    model = table_model(layout).float()
    events = model.sample(50, generator=torch.Generator().manual_seed(4))
    if not has_steps:
        model.network.__class__ = TableNetwork
    dims = layout.to_sites(events).flatten(1)
    path, total = model.reference_path(), torch.zeros(50, dtype=torch.float64)
    for asks_all in (True, False):
        path.start(50)
        total.zero_()
        for number, values in enumerate(dims.unbind(1)):
            if asks_all or number % 2:
                log_probs = path.log_probs()
                assert log_probs.dtype == torch.float64
                total += log_probs.gather(1, values[:, None]).squeeze(1)
            path.tell(values)
        if asks_all:
            expected = model.double().log_prob(events)
            torch.testing.assert_close(total, expected.detach(), rtol=1e-12, atol=1e-12)
            model.float()
    assert model.dtype == torch.float32


def test_heads_that_draw_all_dims_together_have_no_next_one() -> None:
    layout = Layout(EventSpec((2, 1, 3), Discrete(2)), sites="pixel")
    head = JointCategorical(layout)
    model = Model(SteppingTable(layout, head.num_params), head, layout)
    with pytest.raises(NotImplementedError, match="draws the dims of a site together"):
        model.reference_path().log_probs()


def test_real_dims_have_no_reference_path() -> None:
    layout = Layout(EventSpec((2,), Real()))
    model = Model(LinearNetwork(layout, 2), Gaussian(layout), layout)
    with pytest.raises(ValueError, match="values have no probabilities"):
        model.reference_path()
