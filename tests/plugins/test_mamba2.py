"""Mamba-2 against its paper's recurrence, in one piece, in pieces, and in steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from linear_recurrences import (
    EXACT,
    make_layout,
)
from torch import Tensor
from torch.nn import functional as F

from arbench.networks.short_convolution import ShortConvolution
from arbench_mamba2.network import Mamba2
from arbench_mamba2.state import SelectiveMemory
from arbench_mamba2.state_space import selective_scan

SMALL: dict[str, Any] = Mamba2.tiny_hyperparameters | {"num_blocks": 2}
HEADS, N, P = 2, 3, 4


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def make_inputs(num_sites: int) -> tuple[Tensor, ...]:
    """Reads, writes, inputs, logarithms of factors, and a first state."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(2, *shape, dtype=torch.float64)

    reads, writes = normal(num_sites, N), normal(num_sites, N)
    log_factors = normal(HEADS, num_sites).sigmoid().log()
    return reads, writes, normal(HEADS, num_sites, P), log_factors, normal(HEADS, N, P)


def slow_outputs(inputs: tuple[Tensor, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The paper's equation 2, channel by channel: A is a number times the identity."""
    c, b, x, log_a, state = (value.numpy() for value in inputs)
    outputs, last = np.zeros(x.shape), np.zeros(state.shape)
    for i, head, channel in np.ndindex(len(x), HEADS, P):
        h = state[i, head, :, channel]
        for t in range(x.shape[2]):
            h = np.exp(log_a[i, head, t]) * h + b[i, t] * x[i, head, t, channel]
            outputs[i, head, t, channel] = c[i, t] @ h
        last[i, head, :, channel] = h
    return outputs, last


@pytest.mark.parametrize("chunk", [1, 4, 64])
@pytest.mark.parametrize("num_sites", [1, 3, 4, 5, 150])
def test_chunks_are_the_papers_recurrence(num_sites: int, chunk: int) -> None:
    inputs = make_inputs(num_sites)
    found = selective_scan(*inputs, chunk=chunk)
    for value, expected in zip(found, slow_outputs(inputs), strict=True):
        allowed = EXACT * np.abs(expected).max()
        np.testing.assert_allclose(value.numpy(), expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("lengths", [[1, 1, 5, 23, 40], [64, 6], [69, 1]])
def test_pieces_of_any_lengths_are_the_whole(lengths: list[int]) -> None:
    *sites, state = make_inputs(70)
    expected, last = selective_scan(*sites, state)
    outputs = []
    for piece in zip(*(x.split(lengths, axis) for x, axis in with_axes(sites)), strict=True):
        output, state = selective_scan(*piece, state, chunk=8)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs, 2), expected, rtol=0, atol=EXACT)
    torch.testing.assert_close(state, last, rtol=0, atol=EXACT)


def test_a_step_goes_on_from_any_prefix() -> None:
    *sites, first = make_inputs(20)
    expected, _ = selective_scan(*sites, first)
    for t in range(20):
        memory = SelectiveMemory(ShortConvolution(1, 1).double(), 2, HEADS, N, P)
        before = [x.narrow(axis, 0, t) for x, axis in with_axes(sites)]
        memory.states.copy_(first if t == 0 else selective_scan(*before, first)[1])
        reads, writes, inputs, log_factors = (x.select(axis, t) for x, axis in with_axes(sites))
        found = memory(reads, writes, inputs, log_factors.exp())
        torch.testing.assert_close(found, expected[:, :, t], rtol=0, atol=EXACT)


def with_axes(sites: list[Tensor]) -> list[tuple[Tensor, int]]:
    """Each of them with the axis of its sites."""
    return list(zip(sites, (1, 1, 2, 2), strict=True))


def test_rates_and_steps_start_where_the_docstring_says() -> None:
    options = SMALL | {"width": 512, "head_width": 1, "num_blocks": 1}
    (block,) = Mamba2(make_layout(), 5, **options, shortest=0.01, longest=0.5).blocks
    rates, steps = block.log_rate.exp(), F.softplus(block.step_bias)
    assert 1 <= rates.min() * 1.0001 < 1.5
    assert 15.5 < rates.max() <= 16.001
    assert 0.01 <= steps.min() * 1.0001 < 0.012
    assert 0.4 < steps.max() <= 0.5001


def test_in_bfloat16_states_stay_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not their types alone: products inside lose no digits either."""
    lost: list[float] = []

    def watched(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        found = selective_scan(*inputs)
        with torch.autocast("cpu", enabled=False):
            exact = selective_scan(*(x.double() for x in inputs))
        lost.extend((a - b).abs().max().item() for a, b in zip(found, exact, strict=True))
        return found

    monkeypatch.setattr("arbench_mamba2.network.selective_scan", watched)
    network = Mamba2(make_layout(64), 5, **SMALL | {"num_blocks": 1})
    sites = torch.randint(5, (4, 64, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(sites)
    assert len(lost) == 2
    assert max(lost) < 1e-6
    assert 0 < (rough.float() - network(sites)).abs().max() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "at least 1, got 0, 4, 64, 32, 2"),
        ({"head_width": 48}, "divide the 256 channels .*, got 48"),
        ({"shortest": 0.2}, "0 < shortest <= longest, got shortest 0.2 and longest 0.1"),
        ({"dropout": 1.0}, "probability below 1"),
    ],
)
def test_unacceptable_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mamba2(make_layout(), 5, **options)
