"""Dropout: how many numbers it leaves out, what it does to the others, and what it depends on."""

from __future__ import annotations

import math

import pytest
import torch

from arbench.networks.dropout import unit_dropout


@pytest.mark.parametrize("probability", [0.001, 0.3, 0.5, 0.97])
def test_the_share_left_out_is_the_probability_and_the_mean_stays(probability: float) -> None:
    torch.manual_seed(0)
    kept = unit_dropout(torch.ones(1000, 1000), probability, True)
    # The probability is rounded to a multiple of 2^-16.
    rounded = round(probability * 65536) / 65536
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / (1 - rounded)])
    five_sigma = 5 * math.sqrt(rounded * (1 - rounded)) / 1000
    assert float((kept == 0).double().mean()) == pytest.approx(rounded, abs=five_sigma)
    assert float(kept.double().mean()) == pytest.approx(1.0, abs=five_sigma / (1 - rounded))


def test_numbers_are_left_out_independently_of_their_neighbours() -> None:
    torch.manual_seed(1)
    left_out = (unit_dropout(torch.ones(4096, 256), 0.3, True) == 0).double()
    centred = (left_out - 0.3).flatten()
    for distance in (1, 2, 3, 4, 8, 256):
        correlation = float((centred[distance:] * centred[:-distance]).mean()) / (0.3 * 0.7)
        assert abs(correlation) < 5 / math.sqrt(centred.numel())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_gradients_pass_where_numbers_did(dtype: torch.dtype) -> None:
    x = torch.full((7, 13), 2.0, dtype=dtype, requires_grad=True)
    torch.manual_seed(2)
    out = unit_dropout(x, 0.25, True)
    assert out.dtype == dtype
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, out / 2)
    assert sorted(set(out.flatten().tolist())) == pytest.approx([0.0, 2 / 0.75], rel=5e-3)


def test_an_image_keeps_its_memory_format() -> None:
    x = torch.randn(2, 5, 4, 3).contiguous(memory_format=torch.channels_last)
    out = unit_dropout(x, 0.5, True)
    assert out.stride() == x.stride()
    assert bool(((out == 0) | (out == 2 * x)).all())


def test_torch_s_seed_decides() -> None:
    x = torch.randn(64, 64)
    outs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outs.append(unit_dropout(x, 0.5, True))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_nothing_is_left_out_of_evaluation_nor_with_probability_0() -> None:
    x = torch.randn(3, 4)
    assert unit_dropout(x, 0.5, False) is x
    assert unit_dropout(x, 0.0, True) is x


def test_no_numbers_are_no_problem() -> None:
    assert unit_dropout(torch.empty(0, 3), 0.5, True).shape == (0, 3)
