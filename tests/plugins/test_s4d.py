"""S4D against its recurrence, its paper's equations, and a slow convolution."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from linear_recurrences import make_layout, sharpen

from arbench.probability.events import EventSpec, Real
from arbench.probability.layouts import Layout
from arbench_s4d.network import S4D
from arbench_s4d.state import Recurrence
from arbench_s4d.state_space import DiagonalStateSpace

SMALL: dict[str, Any] = {"width": 6, "num_blocks": 2, "num_states": 8}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def make_space(
    init: Literal["lin", "inv"] = "lin", channels: int = 3, num_states: int = 8
) -> DiagonalStateSpace:
    space = DiagonalStateSpace(channels, num_states, init=init, shortest=0.01, longest=0.5)
    return space.double()


def slow_outputs(space: DiagonalStateSpace, inputs: np.ndarray) -> np.ndarray:
    """The paper's equations for one sequence `(T, H)`: both halves of every pair, B = 1 inside."""
    weight = {name: value.numpy() for name, value in space.state_dict().items()}
    outputs = np.zeros_like(inputs)
    for h in range(inputs.shape[1]):
        half = -np.exp(weight["log_decay"][h]) + 1j * weight["frequency"][h]
        half_c = weight["readout"][h] @ np.array([1, 1j])
        rate, readout = np.append(half, half.conj()), np.append(half_c, half_c.conj())
        step = np.exp(weight["log_step"][h, 0])
        factor = np.exp(step * rate)
        entry = (factor - 1) / rate  # zero-order hold, with B = 1
        state = np.zeros(len(rate), dtype=complex)
        for t, u in enumerate(inputs[:, h]):
            state = factor * state + entry * u
            y = readout @ state
            assert abs(y.imag) < 1e-10
            outputs[t, h] = y.real + weight["skip"][h] * u
    return outputs


@pytest.mark.parametrize("init", ["lin", "inv"])
@pytest.mark.parametrize("num_sites", [1, 2, 3, 37, 200])
def test_convolution_is_the_papers_recurrence(init: Literal["lin", "inv"], num_sites: int) -> None:
    space = make_space(init)
    inputs = torch.randn(2, num_sites, 3, dtype=torch.float64)
    expected = np.stack([slow_outputs(space, sequence) for sequence in inputs.numpy()])
    found = space(inputs).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("num_sites", [1, 5, 500])
def test_recurrence_is_the_convolution(num_sites: int) -> None:
    space = make_space(num_states=16)
    inputs = torch.randn(4, num_sites, 3, dtype=torch.float64)
    expected = space(inputs).detach()
    recurrence = Recurrence(space, 4)
    found = torch.stack([recurrence(inputs[:, t]) for t in range(num_sites)], 1)
    allowed = 1e-10 * expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=allowed)


def test_kernel_is_the_response_to_an_impulse() -> None:
    space = make_space()
    impulse = torch.zeros(1, 50, 3, dtype=torch.float64)
    impulse[:, 0] = 1
    response = space(impulse)[0].T.clone()
    response[:, 0] -= space.skip
    torch.testing.assert_close(space.kernel(50), response, rtol=0, atol=1e-10)


def test_initial_rates_are_those_of_the_paper() -> None:
    lin, inv = make_space("lin"), make_space("inv")
    for space in (lin, inv):
        assert torch.allclose(-space.log_decay.exp(), torch.tensor(-0.5, dtype=torch.float64))
        steps = space.log_step.exp()
        assert steps.min() >= 0.01
        assert steps.max() <= 0.5
    expected = torch.tensor([0, math.pi, 2 * math.pi, 3 * math.pi], dtype=torch.float64)
    assert torch.allclose(lin.frequency[0], expected, atol=1e-5)
    # N = 8: 8 / pi * (8 - 1), then 8 / pi * (8 / 3 - 1), ...
    expected = torch.tensor([56, 40 / 3, 24 / 5, 8 / 7], dtype=torch.float64) / math.pi
    assert torch.allclose(inv.frequency[0], expected, atol=1e-5)


def test_what_goes_round_an_fft_does_not_come_back() -> None:
    """The last site, however large, leaves all parameters alone: the padding is long enough."""
    layout = Layout(EventSpec((64,), Real()))
    network = sharpen(S4D(layout, 2, **SMALL).double().eval())
    sites = torch.randn(2, 64, 1, dtype=torch.float64)
    changed = sites.clone()
    changed[:, 60:] += 3
    params, other = network(sites), network(changed)
    moved = (params - other).abs().amax((0, 2))
    assert moved[:61].max() < 1e-12
    assert moved[61:].min() > 1e-6


def test_in_bfloat16_the_state_space_stays_in_float32() -> None:
    network = S4D(make_layout(64), 5, **SMALL)
    sites = torch.randint(5, (4, 64, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(sites)
        assert network.blocks[0].space(torch.randn(2, 64, 6)).dtype == torch.float32
    assert (rough.float() - network(sites)).abs().max() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "at least 1, got 0 and 4"),
        ({"num_states": 5}, "num_states must be even, .*, got 5"),
        ({"num_states": 0}, "num_states must be even, .*, got 0"),
        ({"init": "legs"}, "'lin' or 'inv', got 'legs'"),
        ({"shortest": 0.2}, "0 < shortest <= longest, got shortest 0.2 and longest 0.1"),
        ({"shortest": 0.0}, "0 < shortest"),
        ({"dropout": 1.0}, "probability below 1"),
    ],
)
def test_unacceptable_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S4D(make_layout(), 5, **options)
