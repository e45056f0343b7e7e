#!/usr/bin/env bash
# torchflows 1.2.1: the flows of deep sigmoids (NAF) and every Glow give log-determinants that are not those of their maps.
#
# Expected: forward(x) returns z and the logarithm of |det dz/dx|; MAF, spline couplings and the multiscale RealNVP do.
# Seen (torch 2.13.0, CPU, models as they are built, float64): MaskedAutoregressiveDeepSF on four dims says about -180 where autograd
#   finds 0.04 (the terms of the hidden units are added up where their exponentials should be), AffineGlow on a 4 x 4 image is 1.7 off
#   (a 1x1 convolution is counted once and not once a pixel). Maps and inverses are right.
# Matters: log_prob of these flows is no density. Training still falls, samples still look fair, and the nats mean nothing.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torchdiffeq==0.2.5 tqdm==4.67.1 2>/dev/null
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps torchflows==1.2.1 2>/dev/null
cat > "$work/probe.py" <<'P'
import warnings
from importlib.metadata import version

import torch
from torchflows.bijections.finite.autoregressive.architectures import MAF, CouplingRQNSF, MaskedAutoregressiveDeepSF
from torchflows.bijections.finite.multiscale.architectures import AffineGlow, MultiscaleRealNVP

warnings.filterwarnings("ignore")
torch.manual_seed(0)
print(f"torchflows {version('torchflows')}, torch {torch.__version__}")


def gap(make, shape):
    """What forward says of the log-determinant at one point, less what autograd finds."""
    bijection = make(torch.Size(shape)).double().eval()
    x = 0.7 * torch.randn(1, *shape, dtype=torch.float64)
    z, said = bijection.forward(x)
    jacobian = torch.autograd.functional.jacobian(lambda v: bijection.forward(v.view(1, *shape))[0].reshape(-1), x.reshape(-1))
    true = torch.linalg.slogdet(jacobian)[1].item()
    with torch.no_grad():
        back = (bijection.inverse(z)[0] - x).abs().max().item()
    print(f"{make.__name__:28s} says {said.item():9.3f}, is {true:7.3f}; inverse within {back:.0e}")
    return abs(said.item() - true)


right = [gap(MAF, (4,)), gap(CouplingRQNSF, (4,)), gap(MultiscaleRealNVP, (1, 4, 4))]
sigmoids, glow = gap(MaskedAutoregressiveDeepSF, (4,)), gap(AffineGlow, (1, 4, 4))
assert max(right) < 1e-9
assert sigmoids > 10 and glow > 0.1, "the behaviour has changed: the log-determinants are right"
P
OMP_NUM_THREADS=1 "$work/venv/bin/python" "$work/probe.py"
