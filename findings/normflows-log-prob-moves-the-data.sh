#!/usr/bin/env bash
# normflows 1.7.3: a flow that ends with transforms.Shift moves the caller's tensor each time log_prob is asked.
#
# Expected: log_prob reads its argument; asked twice it gives the same numbers.
# Seen (torch 2.13.0, CPU): Shift adds and subtracts in place, so with it as the last flow, its place by its docstring ("to shift data from
#   interval [0, 1] to [-0.5, 0.5]"), every call of log_prob or forward_kld takes another 0.5 off the data. With a standard normal of
#   2 dimensions as base, the mean log-likelihood of the same tensor is -1.9, -2.2 and -2.9 in three calls.
# Matters: a test set that is kept in one tensor is another one in the second evaluation, and data that are trained on for several
#   epochs walk away; no number looks broken. Hand it a clone.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 2>/dev/null
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps normflows==1.7.3 2>/dev/null
cat > "$work/probe.py" <<'P'
from importlib.metadata import version

import normflows
import torch

torch.manual_seed(0)
data = torch.rand(1000, 2, dtype=torch.float64)
kept = data.clone()
base = normflows.distributions.DiagGaussian(2, trainable=False).double()
plain = normflows.NormalizingFlow(base, [normflows.flows.Permute(2)])
model = normflows.NormalizingFlow(base, [normflows.flows.Permute(2), normflows.transforms.Shift()])
print(f"normflows {version('normflows')}, torch {torch.__version__}")
assert torch.equal(plain.log_prob(data), plain.log_prob(data)) and torch.equal(data, kept)
means, seen = [], []
for _ in range(3):
    means.append(model.log_prob(data).mean().item())
    seen.append(data.mean().item())
    print(f"mean log-likelihood {means[-1]:.4f}; the mean of the data is {seen[-1]:.3f} now, {kept.mean():.3f} at first")
right = base.log_prob(kept - 0.5).mean().item()
print(f"by definition: {right:.4f} each time")
assert abs(means[0] - right) < 1e-9
assert torch.allclose(data, kept - 1.5) and means[2] < means[1] - 0.5 and means[1] < means[0] - 0.2, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
