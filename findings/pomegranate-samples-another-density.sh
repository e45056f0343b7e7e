#!/usr/bin/env bash
# pomegranate 1.1.2: Normal (diagonal) and StudentT sample other distributions than they score, and LogNormal scores no density.
#
# Expected: `sample` draws from the density whose logarithm is `log_probability`, and that integrates to 1; both hold for the full
#   covariance, Gamma, Exponential and Poisson.
# Seen (CPU): `covs` are variances in log_probability, and a diagonal Normal's sampler takes them for standard deviations: variance 16 where
#   the density has 4, and so do mixtures and hidden Markov models made of it. StudentT hands its mean to the sampler as
#   degrees of freedom and its variance as location: the median is 4 where the density has 1. LogNormal leaves 1/x out, so it integrates to
#   exp(mean + variance / 2), 1.73 for (0.3, 0.5).
# Matters: a test that samples follow the likelihood fails, and likelihoods of LogNormal cannot be compared with any other model's: a
#   mixture with one picks the wrong component.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 torch==2.13.0 scikit-learn==1.9.1 networkx==3.6.1 tqdm==4.70.1 \
  numba==0.68.1 2>/dev/null
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps pomegranate==1.1.2 apricot-select==0.6.1 2>/dev/null
cat > "$work/probe.py" <<'P'
import warnings
from importlib.metadata import version

import torch

warnings.simplefilter("ignore")
from pomegranate.distributions import Gamma, LogNormal, Normal, StudentT  # noqa: E402
from pomegranate.gmm import GeneralMixtureModel  # noqa: E402

torch.manual_seed(0)
line = torch.linspace(-100, 200, 600_001, dtype=torch.float64)


def moments(name, model, positive=False):
    """The integral of the density, its mean and variance; those of 20,000 samples, and their median."""
    x = line[line > 0] if positive else line
    density = model.log_probability(x.float()[:, None]).double().exp()
    integral = torch.trapezoid(density, x)
    mean = torch.trapezoid(density * x, x) / integral
    variance = torch.trapezoid(density * (x - mean) ** 2, x) / integral
    drawn = model.sample(20_000).double().flatten()
    found = [each.item() for each in (integral, mean, variance, drawn.mean(), drawn.var(), drawn.median())]
    print("{}: integral {:.3f}; mean {:.2f}, variance {:.2f}; of samples {:.2f}, {:.2f} (median {:.2f})".format(name, *found))
    return found


print(f"pomegranate {version('pomegranate')}, torch {torch.__version__}")
full = moments("Normal(1, 4), full", Normal([1.0], [[4.0]]))
gamma = moments("Gamma(2, 0.5)", Gamma([2.0], [0.5]), positive=True)
diagonal = moments("Normal(1, 4), diagonal", Normal([1.0], [4.0], covariance_type="diag"))
parts = [Normal([mean], [4.0], covariance_type="diag") for mean in (0.0, 2.0)]
mixture = moments("two of them, mixed", GeneralMixtureModel(parts, priors=[0.5, 0.5]))
student = moments("StudentT(6; 1, 4), diagonal", StudentT(6, [1.0], [4.0], covariance_type="diag"))
log_normal = moments("LogNormal(0.3, 0.5)", LogNormal([0.3], [[0.5]]), positive=True)
for found in (full, gamma):
    assert abs(found[0] - 1) < 1e-3 and abs(found[1] - found[3]) < 0.15 and abs(found[2] / found[4] - 1) < 0.1
assert abs(diagonal[2] - 4) < 0.01 and abs(diagonal[4] - 16) < 1, "the behaviour has changed: Normal"
assert abs(mixture[2] - 5) < 0.01 and abs(mixture[4] - 17) < 1.5, "the behaviour has changed: mixtures"
assert abs(student[1] - 1) < 0.01 and abs(student[5] - 4) < 0.3, "the behaviour has changed: StudentT"
assert abs(log_normal[0] - 1.733) < 0.01, "the behaviour has changed: LogNormal"
P
"$work/venv/bin/python" "$work/probe.py"
