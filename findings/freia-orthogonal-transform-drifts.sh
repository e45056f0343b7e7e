#!/usr/bin/env bash
# FrEIA 0.2: OrthogonalTransform counts its matrix as orthogonal while training makes it something else, for 256 steps by default.
#
# Expected: a likelihood that belongs to the map, in training and after it.
# Seen (torch 2.13.0, CPU): the matrix is a free parameter, made orthogonal again at every 256th forward pass alone. 100 steps of Adam at 1e-2
#   on a Gaussian of known entropy bring the loss below what any density can reach; evaluation mode corrects nothing: there the log-determinant
#   is off by some ten nats at 6 dims, and the inverse, which takes the transpose, does not return the input.
# Matters: a flow scored between two corrections reports a likelihood too good to be true; the optimiser finds the shrinking matrix by itself.
#   torch's own parametrization (torch.nn.utils.parametrizations.orthogonal) keeps both right.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 torch==2.13.0 2>/dev/null
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps FrEIA==0.2 2>/dev/null
cat > "$work/probe.py" <<'P'
import math
from importlib.metadata import version

import torch
from FrEIA.modules import OrthogonalTransform

torch.manual_seed(0)
dims, mix = 6, torch.randn(6, 6)
data = torch.randn(4000, dims) @ mix
entropy = 0.5 * dims * math.log(2 * math.pi * math.e) + torch.linalg.slogdet(mix)[1].item()
flow = OrthogonalTransform([(dims,)])
optimiser = torch.optim.Adam(flow.parameters(), lr=1e-2)


def nats():
    (z,), log_det = flow((data,), jac=True)
    return 0.5 * dims * math.log(2 * math.pi) + (0.5 * z.square().sum(1) - log_det).mean()


for _ in range(100):
    optimiser.zero_grad()
    loss = nats()
    loss.backward()
    optimiser.step()
flow.eval()
x = data[:1]
(z,), said = flow((x,), jac=True)
true = torch.linalg.slogdet(torch.autograd.functional.jacobian(lambda v: flow((v[None],))[0][0][0], x[0]))[1].item()
back = (flow((z,), rev=True)[0][0] - x).abs().max().item()
print(f"FrEIA {version('FrEIA')}, torch {torch.__version__}")
print(f"entropy of the data {entropy:.2f} nats, reported after 100 steps {nats().item():.2f}")
print(f"log-determinant: says {said.item():.2f}, is {true:.2f}; the inverse is off by up to {back:.2f}")
assert nats().item() < entropy - 1 and abs(said.item() - true) > 1 and back > 0.1, "the behaviour has changed"
P
OMP_NUM_THREADS=1 "$work/venv/bin/python" "$work/probe.py"
