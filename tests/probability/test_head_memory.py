"""A softmax over many values is differentiated in the memory of two of them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from arbench.probability.heads.components import log_softmax_at

# A process of its own: its peak is its own, and no freed memory hides what a step takes. Blocks
# beyond 32 MB are the system's again as soon as they are free.
CODE = """
import torch
from pathlib import Path
from arbench import Discrete, EventSpec, Layout
from arbench.probability.heads import Categorical

def held(key):
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) << 10

torch.set_num_threads(1)
head = Categorical(Layout(EventSpec((1, 28, 28), Discrete(256))))
torch.zeros(4, requires_grad=True).exp().sum().backward()  # what torch itself needs is there
params = torch.zeros(64, 784, 256, requires_grad=True)
value = torch.randint(256, (64, 784, 1))
params.detach().fill_(0.5)
before = held("VmRSS")
head.log_prob(params, value).sum().backward()
print((held("VmHWM") - before) / (params.numel() * 4))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what memory is whose")
def test_a_training_step_holds_log_probabilities_and_their_gradient_alone() -> None:
    """In sizes of the parameters; torch's own derivative of the same takes three."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True
    )
    assert 1.5 < float(done.stdout) < 2.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_is_the_values_indicator_minus_its_probability(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, 7, generator=generator, dtype=dtype).mul_(3).requires_grad_()
    value = torch.randint(7, (5, 3, 1), generator=generator)
    weights = torch.randn(5, 3, 1, generator=generator, dtype=dtype)
    (log_softmax_at(logits, value) * weights).sum().backward()
    indicator = (torch.arange(7) == value).to(dtype)
    torch.testing.assert_close(logits.grad, weights * (indicator - logits.detach().softmax(-1)))
    if dtype == torch.float64:
        assert torch.autograd.gradcheck(log_softmax_at, (logits, value))
