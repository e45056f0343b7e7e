"""Gated DeltaNet against its paper's recurrence, in one piece, in pieces, and in steps."""

from __future__ import annotations

import math
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
from arbench_gated_deltanet.delta_rule import delta_rule
from arbench_gated_deltanet.network import DeltaHeads, GatedDeltaNet
from arbench_gated_deltanet.state import DeltaMemory

SMALL: dict[str, Any] = GatedDeltaNet.tiny_hyperparameters | {"num_blocks": 2}
HEADS, K, V = 2, 3, 4


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def make_inputs(num_sites: int) -> tuple[Tensor, ...]:
    """Queries, keys, values, strengths, logarithms of factors, and a first memory."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(2, HEADS, *shape, dtype=torch.float64)

    keys = F.normalize(normal(num_sites, K), dim=-1)
    strengths, factors = normal(num_sites).sigmoid(), normal(num_sites).sigmoid()
    return normal(num_sites, K), keys, normal(num_sites, V), strengths, factors.log(), normal(K, V)


def slow_outputs(inputs: tuple[Tensor, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The paper's equation 10 as it stands there: a memory is `(V, K)` and is read as `S q`."""
    q, k, v, beta, log_alpha, memory = (x.numpy() for x in inputs)
    outputs, last = np.zeros(v.shape), np.zeros(memory.shape)
    for where in np.ndindex(v.shape[:2]):
        state = memory[where].T
        for t in range(v.shape[2]):
            key, strength = k[where][t], beta[where][t]
            kept = np.exp(log_alpha[where][t]) * (np.eye(K) - strength * np.outer(key, key))
            state = state @ kept + strength * np.outer(v[where][t], key)
            outputs[where][t] = state @ q[where][t]
        last[where] = state.T
    return outputs, last


@pytest.mark.parametrize("chunk", [1, 4, 64])
@pytest.mark.parametrize("num_sites", [1, 3, 4, 5, 150])
def test_chunks_are_the_papers_recurrence(num_sites: int, chunk: int) -> None:
    inputs = make_inputs(num_sites)
    for found, expected in zip(delta_rule(*inputs, chunk=chunk), slow_outputs(inputs), strict=True):
        allowed = EXACT * np.abs(expected).max()
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("lengths", [[1, 1, 5, 23, 40], [64, 6], [69, 1]])
def test_pieces_of_any_lengths_are_the_whole(lengths: list[int]) -> None:
    *sites, memory = make_inputs(70)
    expected, last = delta_rule(*sites, memory)
    outputs = []
    for piece in zip(*(x.split(lengths, 2) for x in sites), strict=True):
        output, memory = delta_rule(*piece, memory, chunk=8)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs, 2), expected, rtol=0, atol=EXACT)
    torch.testing.assert_close(memory, last, rtol=0, atol=EXACT)


def test_a_step_goes_on_from_any_prefix() -> None:
    *sites, first = make_inputs(20)
    expected, _ = delta_rule(*sites, first)
    for t in range(20):
        state = DeltaMemory(ShortConvolution(1, 1).double(), 2, HEADS, K, V)
        before = first if t == 0 else delta_rule(*(x[:, :, :t] for x in sites), first)[1]
        state.matrices.copy_(before.flatten(0, 1))
        queries, keys, values, strengths, log_factors = (x[:, :, t] for x in sites)
        found = state(queries, keys, values, strengths, log_factors.exp())
        torch.testing.assert_close(found, expected[:, :, t], rtol=0, atol=EXACT)


def test_a_key_written_twice_keeps_the_last_value() -> None:
    """What tells the delta rule from linear attention, which would keep the sum."""
    key = F.normalize(torch.randn(K, dtype=torch.float64), dim=0)
    keys = key.expand(1, 1, 2, K)
    values = torch.randn(1, 1, 2, V, dtype=torch.float64)
    always, never = torch.ones(1, 1, 2).double(), torch.zeros(1, 1, 2).double()
    found, _ = delta_rule(keys, keys, values, always, never, torch.zeros(1, 1, K, V).double())
    torch.testing.assert_close(found, values, rtol=0, atol=1e-12)


def test_rates_start_where_the_docstring_says() -> None:
    block = DeltaHeads(8, 400, 2, 2, 1.0, 0.0)
    rates, steps = block.log_rate.exp(), F.softplus(block.step_bias)
    assert 0 < rates.min() < 1 < 15 < rates.max() <= 16
    assert steps.min() * 1.0001 >= 1e-3
    assert steps.max() <= 0.1 * 1.0001
    assert steps.log().mean().item() == pytest.approx(math.log(1e-2), abs=0.3)


def test_in_bfloat16_memories_stay_in_float32() -> None:
    network = GatedDeltaNet(make_layout(64), 5, **SMALL)
    sites = torch.randint(5, (4, 64, 1))
    seen = []
    first = network.branches[0]
    assert isinstance(first, DeltaHeads)
    first.value_norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(sites)
    assert seen == [torch.float32]
    assert 0 < (rough.float() - network(sites)).abs().max() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "at least 1 and perceptron at least 0, got 0, 4, 4, 24, 48 and 256"),
        ({"perceptron": -1}, "perceptron at least 0"),
        ({"dropout": 1.0}, "probability below 1"),
    ],
)
def test_unacceptable_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GatedDeltaNet(make_layout(), 5, **options)
