"""The model: exact log-probabilities, scored masks, dtypes, modes."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from brute_force import LAYOUTS, Dropping, scored_after, table_log_probs, table_model
from torch import Tensor, nn

from arbench.errors import PluginError
from arbench.probability.density import Density
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import Bernoulli
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.precision import evaluation_mode
from arbench.testing.toys import (
    TINY_SPECS,
    JointCategorical,
    LinearNetwork,
    TableNetwork,
    all_events,
)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_log_prob_is_the_chain_rule(layout: Layout) -> None:
    model = table_model(layout)
    found = model.log_prob(all_events(layout.spec))
    assert (found.dtype, model.kind) == (torch.float64, "exact")
    assert isinstance(model, Density)
    np.testing.assert_allclose(found.detach().numpy(), table_log_probs(model), rtol=1e-12)
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_pixel_sites_are_normalised_with_a_joint_head() -> None:
    layout = Layout(EventSpec((3, 1, 2), Discrete(3)), order=[1, 0], sites="pixel")
    head = JointCategorical(layout)
    network = TableNetwork(layout, head.num_params, scale=2.0)
    model = Model(network, head, layout).double()
    log_probs = model.log_prob(all_events(layout.spec))
    assert log_probs.exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32, torch.int64])
def test_events_may_come_in_any_dtype(dtype: torch.dtype) -> None:
    model = table_model(LAYOUTS["binary-2x3-raster"])
    events = all_events(model.spec)
    assert torch.equal(model.log_prob(events.to(dtype)), model.log_prob(events))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_log_probs_are_summed_in_float64(dtype: torch.dtype) -> None:
    model = table_model(LAYOUTS["sequence-5-raster"]).to(dtype)
    events = all_events(model.spec)[:50]
    found = model.log_prob(events)
    assert found.dtype == torch.float64
    per_site = model.site_log_probs(events)
    assert per_site.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(found, per_site.double().sum(1))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_unscored_dims_add_nothing_but_are_seen(layout: Layout) -> None:
    model = table_model(layout)
    events = all_events(layout.spec)[::7]
    masks = [scored_after(layout.spec, len(events))]
    if layout.is_raster:  # nothing that is unscored lies behind what reads it
        masks.append(torch.rand(events.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    by_dim = layout.to_events(model.site_log_probs(events)[..., None])
    for scored in masks:
        expected = (by_dim * scored).flatten(1).sum(1)
        found = model.log_prob(events, scored)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    everything = torch.ones_like(scored)
    assert torch.equal(model.log_prob(events, everything), model.log_prob(events))
    assert torch.equal(model.log_prob(events, ~everything), torch.zeros(len(events)).double())


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_parts_of_dims_are_ratios_of_probabilities_and_lie_in_event_order(layout: Layout) -> None:
    """What a dim has is what scoring it as well adds to the dims before it."""
    model = table_model(layout)
    events = all_events(layout.spec)[::11]
    parts = model.dim_log_probs(events)
    assert (parts.shape, parts.dtype) == (events.shape, torch.float64)
    torch.testing.assert_close(parts.flatten(1).sum(1), model.log_prob(events), rtol=0, atol=1e-10)
    places = layout.to_events(torch.arange(layout.num_sites)[None, :, None])[0]
    for site in range(layout.num_sites):
        before, until = (
            model.log_prob(events, (places < site + extra).expand_as(events)) for extra in (0, 1)
        )
        found = parts[:, places == site].squeeze(1)
        torch.testing.assert_close(found, until - before, rtol=0, atol=1e-10)
    scored = scored_after(layout.spec, len(events))
    expected = parts.masked_fill(~scored, 0)
    torch.testing.assert_close(model.dim_log_probs(events, scored), expected, rtol=0, atol=0)


def test_dims_that_are_drawn_together_share_equally() -> None:
    layout = Layout(EventSpec((3, 1, 2), Discrete(3)), order=[1, 0], sites="pixel")
    head = JointCategorical(layout)
    model = Model(TableNetwork(layout, head.num_params), head, layout).double()
    events = all_events(layout.spec)[::20]
    parts, sites = model.dim_log_probs(events), model.site_log_probs(events)
    torch.testing.assert_close(parts[:, :, 0, 1] * 3, sites[:, :1].expand(-1, 3))
    torch.testing.assert_close(parts[:, :, 0, 0] * 3, sites[:, 1:].expand(-1, 3))


def test_a_pixel_is_scored_as_a_whole() -> None:
    layout = Layout(EventSpec((2, 1, 2), Discrete(2)), sites="pixel")
    head = JointCategorical(layout)
    model = Model(TableNetwork(layout, 4), head, layout).double()
    events = all_events(layout.spec)
    scored = torch.zeros(events.shape, dtype=torch.bool)
    scored[:, :, :, 1] = True
    torch.testing.assert_close(
        model.log_prob(events, scored), model.site_log_probs(events)[:, 1], rtol=0, atol=0
    )
    scored[:, 0, :, 1] = False
    with pytest.raises(ValueError, match="scored as a whole"):
        model.log_prob(events, scored)


def test_log_prob_has_the_gradient_of_finite_differences() -> None:
    spec = EventSpec((1, 1, 3), Discrete(2))
    layout = Layout(spec)
    model = Model(LinearNetwork(layout, 1), Bernoulli(layout), layout).double()
    weights = tuple(model.parameters())
    assert len(weights) == 2

    def log_probs(weight: Tensor, bias: Tensor) -> Tensor:
        named = {"network.weight": weight, "network.bias": bias}
        result = torch.func.functional_call(model, named, (all_events(spec),))
        assert isinstance(result, Tensor)
        return result

    assert torch.autograd.gradcheck(log_probs, weights)


def test_samplers_leave_modes_alone_and_dropout_off() -> None:
    layout = Layout(TINY_SPECS["binary-2x3"])
    model = Model(Dropping(layout), Bernoulli(layout), layout).double()
    noise = model.draw_noise(64, torch.Generator().manual_seed(0))
    expected = model.eval().sample(64, noise=noise)
    model.train()
    model.network.frozen.eval()  # a mixture of modes must survive
    modes = {name: m.training for name, m in model.named_modules()}
    for method in model.samplers:
        assert torch.equal(model.sample(64, noise=noise, method=method), expected)
    assert {name: m.training for name, m in model.named_modules()} == modes
    assert modes["network.dropout"]
    assert not modes["network.frozen"]
    events = all_events(layout.spec)
    assert not torch.equal(model.log_prob(events), model.log_prob(events))  # dropout is real


def test_evaluation_mode_is_undone_by_errors_too() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Dropout().eval())

    def fail() -> None:
        with evaluation_mode(module):
            assert not any(m.training for m in module.modules())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert [m.training for m in module.modules()] == [True, True, False]


def test_events_of_another_shape_are_refused() -> None:
    model = table_model(LAYOUTS["binary-2x3-raster"])
    with pytest.raises(ValueError, match="expected events of shape"):
        model.log_prob(torch.zeros(2, 1, 3, 2))


@pytest.mark.parametrize("method", ["log_prob", "whole", "fixed-point"])
@pytest.mark.parametrize("shape", [(1, 6), (6,), (5, 1), (6, 2)], ids=str)
def test_parameters_that_would_only_broadcast_make_no_number(
    method: str, shape: tuple[int, ...]
) -> None:
    class Misshapen(LinearNetwork):
        def forward(self, sites: Tensor) -> Tensor:
            return torch.zeros(len(sites), *shape)

    layout = Layout(EventSpec((1, 2, 3), Discrete(2)))
    model = Model(Misshapen(layout, 1), Bernoulli(layout), layout)
    events = torch.zeros(6, 1, 2, 3)
    use = partial(model.sample, 6, method=method)
    if method == "log_prob":
        use = partial(model.log_prob, events)
    with pytest.raises(PluginError, match=r"expected \(B, T, P\) = \(6, 6, 1\)"):
        use()
    shape = (6, 1)
    assert model.log_prob(events).tolist() == pytest.approx([-6 * math.log(2)] * 6)
