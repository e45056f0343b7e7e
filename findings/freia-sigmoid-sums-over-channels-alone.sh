#!/usr/bin/env bash
# FrEIA 0.2: InvertibleSigmoid sums the log-determinant of an image over its channels alone, and a sequence of modules passes that on.
#
# Expected: one number for each image of a batch, as every other module gives.
# Seen (torch 2.13.0, CPU): (batch, height, width) numbers; behind a 1x1 convolution the convolution's log-determinant is added to every pixel.
#   A usual loss, mean over 0.5 z^2 summed per image less the log-determinant, runs without a word where batch and width are equal, and where the
#   batch is 1; elsewhere broadcasting fails.
# Matters: the sigmoid is what brings pixels into [0, 1], so its nats are most of a flow's bits per dim; the mean counts one pixel's.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 torch==2.13.0 2>/dev/null
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps FrEIA==0.2 2>/dev/null
cat > "$work/probe.py" <<'P'
from importlib.metadata import version

import torch
from FrEIA.framework import SequenceINN
from FrEIA.modules import ActNorm, Fixed1x1Conv, InvertibleSigmoid

torch.manual_seed(0)
x = torch.randn(4, 3, 4, 4)
flow = SequenceINN(3, 4, 4)
flow.append(Fixed1x1Conv, M=2 * torch.eye(3))
flow.append(InvertibleSigmoid)
z, log_det = flow(x)
single = x[:1]
jacobian = torch.autograd.functional.jacobian(lambda v: flow(v.view(1, 3, 4, 4))[0].reshape(-1), single.reshape(-1))
true = torch.linalg.slogdet(jacobian)[1].item()
print(f"FrEIA {version('FrEIA')}, torch {torch.__version__}")
print(f"log-determinants of 4 images: shape {tuple(log_det.shape)}; of the first: mean {log_det[0].mean():.2f}, sum {log_det[0].sum():.2f}, right {true:.2f}")
print(f"a loss of 4 images, 4 pixels wide: {(0.5 * z.square().sum((1, 2, 3)) - log_det).mean():.2f}, without an error")
norm = SequenceINN(3, 4, 4)
norm.append(ActNorm)
print(f"ActNorm, the same images: shape {tuple(norm(x)[1].shape)}")
assert norm(x)[1].shape == (4,)
assert log_det.shape == (4, 4, 4) and abs(log_det[0].mean().item() - true) > 1, "the behaviour has changed"
P
OMP_NUM_THREADS=1 "$work/venv/bin/python" "$work/probe.py"
