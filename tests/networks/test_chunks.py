"""Chunks of linear recurrences, and convolutions over a few sites."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from arbench.networks.chunks import decays, in_chunks
from arbench.networks.short_convolution import ShortConvolution, ShortMemory


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_decays_are_products_of_factors() -> None:
    factors = torch.rand(3, 5, dtype=torch.float64)
    found = decays(factors.log())
    for row, left in zip(factors, found, strict=True):
        for i in range(5):
            for j in range(5):
                expected = row[j + 1 : i + 1].prod().item() if j <= i else 0.0
                assert left[i, j].item() == pytest.approx(expected, abs=1e-14)


def test_what_is_all_forgotten_has_a_gradient() -> None:
    log_factors = torch.full((70,), -500.0, requires_grad=True)
    left = decays(log_factors)
    assert torch.equal(left, torch.eye(70))
    left.sum().backward()
    assert log_factors.grad is not None
    assert log_factors.grad.isfinite().all()


@pytest.mark.parametrize(("num_sites", "length", "num_chunks"), [(6, 3, 2), (7, 3, 3), (1, 4, 1)])
def test_chunks_follow_one_another_and_end_in_zeros(
    num_sites: int, length: int, num_chunks: int
) -> None:
    values = torch.randn(2, num_sites, 3)
    chunks = in_chunks(values, length)
    assert chunks.shape == (2, num_chunks, length, 3)
    assert torch.equal(chunks.flatten(1, 2)[:, :num_sites], values)
    assert not chunks.flatten(1, 2)[:, num_sites:].any()


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("num_sites", [1, 3, 11])
def test_short_convolution_is_torchs_and_that_of_its_steps(width: int, num_sites: int) -> None:
    convolution = ShortConvolution(5, width).double()
    values = torch.randn(2, num_sites, 5, dtype=torch.float64)
    found = convolution(values)
    kernel = convolution.weight.flip(0).T.unsqueeze(1)
    padded = F.pad(values.mT, (width - 1, 0))
    expected = F.conv1d(padded, kernel, convolution.bias, groups=5).mT
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    memory = ShortMemory(convolution, 2)
    stepped = torch.stack([memory(values[:, t]) for t in range(num_sites)], 1)
    torch.testing.assert_close(stepped, expected, rtol=0, atol=1e-13)
