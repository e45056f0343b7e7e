#!/usr/bin/env bash
# normflows 1.7.3: distributions.GaussianPCA is no density, and its samples are of another distribution; UniformGaussian has no ends.
#
# Expected: log_prob is that of a Gaussian with covariance W'W + sigma^2 I, as written in its code; samples have that covariance.
# Seen (torch 2.13.0, CPU): the constant has the wrong sign and the determinant stands without its logarithm, so in 2 dimensions the density
#   integrates to 10.7 where W is the identity and sigma 1; samples lack sigma, so that with one latent dimension all lie on a line.
#   UniformGaussian gives points outside its interval the density of those inside.
# Matters: the determinant is what keeps a trained covariance finite: its likelihoods can't be compared with any other model's, and as
#   base of a flow it lends its error to the flow.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 2>/dev/null
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps normflows==1.7.3 2>/dev/null
cat > "$work/probe.py" <<'P'
from importlib.metadata import version

import torch
from normflows.distributions import DiagGaussian, GaussianMixture, GaussianPCA, UniformGaussian
from torch.distributions import MultivariateNormal

torch.manual_seed(0)
ticks = torch.linspace(-15, 15, 301, dtype=torch.float64)
points = torch.cartesian_prod(ticks, ticks)
area = (ticks[1] - ticks[0]) ** 2
print(f"normflows {version('normflows')}, torch {torch.__version__}")
with torch.no_grad():
    pca = GaussianPCA(2, 2, sigma=1.0).double()
    pca.W.copy_(torch.eye(2))
    models = {
        "DiagGaussian": DiagGaussian(2).double(),
        "GaussianMixture": GaussianMixture(3, 2).double(),
        "GaussianPCA": pca,
    }
    integrals = {name: (model.log_prob(points).exp().sum() * area).item() for name, model in models.items()}
    for name, integral in integrals.items():
        print(f"{name} integrates to {integral:.4f}")
    right = MultivariateNormal(torch.zeros(2).double(), 2 * torch.eye(2).double())
    print(f"at the mean: {pca.log_prob(torch.zeros(1, 2).double()).item():.4f}, by definition {right.log_prob(torch.zeros(2)).item():.4f}")
    spread = torch.cov(pca.sample(100_000).T)
    print(f"variance of samples {spread[0, 0]:.3f}, by definition 2")
    line = GaussianPCA(2, 1, sigma=1.0).double()
    least = torch.linalg.eigvalsh(torch.cov(line.sample(1000).T))[0].item()
    print(f"one latent dimension: least variance of samples {abs(least):.1e}, by definition 1")
    flat = UniformGaussian(2, [0])
    inside, outside = flat.log_prob(torch.tensor([[0.2, 0.0], [90.0, 0.0]])).tolist()
    print(f"UniformGaussian of width 1: {inside:.4f} at 0.2 and {outside:.4f} at 90; largest of 1000 samples {flat.sample(1000)[:, 0].abs().max():.2f}")
assert abs(integrals["DiagGaussian"] - 1) < 1e-3 and abs(integrals["GaussianMixture"] - 1) < 1e-3
assert abs(integrals["GaussianPCA"] - 1) > 1, "the behaviour has changed: it is a density"
assert abs(spread[0, 0] - 1) < 0.05 and abs(least) < 1e-9 and inside == outside, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
