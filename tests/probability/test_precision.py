"""Float32 keeps its bits in evaluation, whatever is allowed elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.backends import cudnn, mkldnn

from arbench.probability.precision import evaluation_mode


def settings() -> list[str]:
    backends = torch.backends
    return [
        backends.cuda.matmul.fp32_precision,
        *(getattr(b, op).fp32_precision for b in (cudnn, mkldnn) for op in ("conv", "rnn")),
        mkldnn.matmul.fp32_precision,
    ]


def test_what_was_allowed_is_off_inside_and_restored_after_a_failure() -> None:
    assert "tf32" in settings()  # torch's own default, for cuDNN
    before = settings()
    inside = []

    def fail() -> None:
        with evaluation_mode(nn.Module()):
            inside.extend(settings())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert inside == ["ieee"] * 6
    assert settings() == before


def test_shortened_products_do_not_reach_an_evaluation() -> None:
    """Torch can be told to shorten float32 on a CPU too, where it has the instructions."""
    layer = nn.Linear(256, 256, bias=False)
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    exact = layer(x).detach()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.no_grad(), evaluation_mode(layer):
            evaluated = layer(x)
        assert settings()[-1] == "bf16"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(evaluated, exact)
