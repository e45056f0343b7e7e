"""Flows: a density by change of variables, its samples, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import arbench
from arbench.errors import PluginError
from arbench.probability.density import Density
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.flows import inversion
from arbench.probability.flows.flow import Flow, is_flow
from arbench.probability.flows.inversion import flow_findings, log_abs_det
from arbench.testing import conformance
from arbench.testing.toys import LinearFlow, LinearNetwork

SPEC = EventSpec((1, 2, 2), Real())

test_a_linear_flow_keeps_every_promise = conformance(LinearFlow)


@pytest.fixture
def flow() -> Flow:
    """A flow whose density is normal."""
    return Flow(LinearFlow(SPEC), SPEC, fresh=lambda: LinearFlow(SPEC, seed=9)).double().eval()


def events(count: int = 5) -> Tensor:
    """Real events."""
    return torch.randn(count, *SPEC.shape, dtype=torch.float64)


def test_its_density_is_that_of_the_normal_distribution_it_is(flow: Flow) -> None:
    factor, shift = flow.network.factor.detach().numpy(), flow.network.shift.detach().numpy()
    inverse = np.linalg.inv(factor)
    normal = stats.multivariate_normal(-inverse @ shift, inverse @ inverse.T)
    given = events()
    expected = normal.logpdf(given.flatten(1).numpy())
    np.testing.assert_allclose(flow.log_prob(given).detach().numpy(), expected, rtol=1e-12)
    assert torch.equal(flow(given), flow.training_log_prob(given))
    assert (flow.kind, flow.samplers) == ("density", ("inverse",))
    assert isinstance(flow, Density)


def test_a_sample_is_a_function_of_its_noise(flow: Flow) -> None:
    noise = flow.draw_noise(6, torch.Generator().manual_seed(1))
    assert noise.shape == (6, 4, 1)
    latents = torch.from_numpy(stats.norm.ppf(noise[..., 0].numpy()))
    found = flow.sample(6, noise=noise)
    factor, shift = flow.network.factor.detach(), flow.network.shift.detach()
    torch.testing.assert_close(found.flatten(1) @ factor.T + shift, latents)
    again = flow.sample(6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again, found)


def test_the_ends_of_the_noise_are_finite(flow: Flow) -> None:
    for dtype in (torch.float32, torch.float64):
        for end in (0.0, 1 - 2.0**-53):
            noise = torch.full((1, 4, 1), end, dtype=torch.float64)
            assert flow.to(dtype).sample(1, noise=noise).isfinite().all()


def test_half_precision_of_a_network_is_added_up_in_full() -> None:
    class Half(LinearFlow):
        def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
            return tuple(each.bfloat16() for each in super().forward(events))  # type: ignore[return-value]

    found = Flow(Half(SPEC), SPEC).log_prob(events().float())
    assert found.dtype == torch.float64
    assert not torch.equal(found, found.bfloat16().double())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"given": torch.zeros(SPEC.shape), "known": torch.ones(SPEC.shape)}, "draws whole events"),
        ({"method": "step"}, "cannot sample by 'step'; it has: inverse"),
        ({"noise": torch.zeros(3, 4)}, r"noise has shape \(B, D, 1\)"),
        ({"num_events": 0}, "at least 1"),
    ],
)
def test_what_it_cannot_draw_is_refused(flow: Flow, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        flow.sample(**{"num_events": 3, **asked})


def test_what_has_no_density_is_refused(flow: Flow) -> None:
    with pytest.raises(ValueError, match="a density of real numbers, and the data are Discrete"):
        Flow(LinearFlow(SPEC), EventSpec((4,), Discrete(3)))
    scored = torch.ones(5, *SPEC.shape, dtype=torch.bool)
    given = events()
    assert torch.equal(flow.log_prob(given, scored), flow.log_prob(given))
    scored[2, 0, 0, 0] = False
    with pytest.raises(ValueError, match="every dim has to be scored"):
        flow.log_prob(given, scored)
    given[1] = torch.nan
    with pytest.raises(ValueError, match="event 1"):
        flow.log_prob(given)


def test_shapes_that_are_none_of_the_contract_are_refused() -> None:
    class Whole(LinearFlow):
        def forward(self, events: Tensor) -> Any:
            return events, torch.zeros(())

    class Single(LinearFlow):
        def forward(self, events: Tensor) -> Any:
            return events

    class Flat(LinearFlow):
        def inverse(self, latents: Tensor) -> Tensor:
            return latents

    with pytest.raises(PluginError, match=r"returned \(5, 1, 2, 2\) and \(\), expected latents"):
        Flow(Whole(SPEC), SPEC).log_prob(events())
    with pytest.raises(PluginError, match="forward returned Tensor"):
        Flow(Single(SPEC), SPEC).log_prob(events())
    with pytest.raises(PluginError, match="inverse returned events of shape"):
        Flow(Flat(SPEC), SPEC).sample(2)


def test_fresh_weights_leave_the_old_ones(flow: Flow) -> None:
    given = events()
    before = flow.log_prob(given)
    other = flow.reinitialise(3)
    assert not torch.equal(other.log_prob(given), before)
    assert torch.equal(flow.log_prob(given), before)
    assert (other.dtype, other.training) == (torch.float64, False)
    assert not hasattr(Flow(LinearFlow(SPEC), SPEC), "reinitialise")


def test_a_determinant_is_that_of_numpy() -> None:
    matrix = torch.randn(3, 3, dtype=torch.float64)
    found = log_abs_det(lambda x: x @ matrix.T + x**3, torch.zeros(2, 3, dtype=torch.float64))
    expected = np.linalg.slogdet(matrix.numpy()).logabsdet
    assert found.tolist() == pytest.approx([expected] * 2, rel=1e-12)


def test_jacobians_of_large_events_are_not_made(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def findings() -> dict[str, Any]:
        return dict(flow_findings(flow, events(), torch.Generator().manual_seed(0)))

    found = findings()
    assert [*found] == ["inverse", "log_det"]
    assert all(0 <= value < limit and not fault for value, limit, _, fault in found.values())
    monkeypatch.setattr(inversion, "_MOST_SQUARE", 3)
    assert [*findings()] == ["inverse"]


def test_a_network_is_a_flow_if_it_has_an_inverse() -> None:
    assert is_flow(LinearFlow)
    assert not is_flow(LinearNetwork)
    assert arbench.Flow is Flow
