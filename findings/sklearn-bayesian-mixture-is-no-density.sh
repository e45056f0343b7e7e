#!/usr/bin/env bash
# scikit-learn 1.9.1: `BayesianGaussianMixture.score_samples` is not the logarithm of a density.
#
# Expected: it is documented as the log-likelihood of each row, like that of `GaussianMixture`, so its exponential integrates to 1.
# Seen (NumPy 2.4.6): it integrates to 0.94 for one component fitted to 30 numbers, and to 0.82 in five dims fitted to 60 rows. The two
#   terms that variational inference adds (the expected logarithms of the weights and of the precision) lower every row. `sample` draws
#   from a mixture of normals that has the same means and covariances, and does integrate to 1.
# Matters: a comparison by `score` favours `GaussianMixture` by 0.06 nats a number, 0.19 a row of five, however well both fit.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 2>/dev/null
cat > "$work/probe.py" <<'P'
import numpy as np
import sklearn
from scipy.stats import norm
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture


def integral(model, dims, seed=1):
    """By importance sampling from a normal that is three times as wide; its standard error is below 0.01."""
    x = np.random.default_rng(seed).normal(scale=3, size=(400_000, dims))
    return np.exp(model.score_samples(x) - norm.logpdf(x, scale=3).sum(1)).mean()


print(f"scikit-learn {sklearn.__version__}, NumPy {np.__version__}")
for dims, rows, below in ((1, 30, 0.97), (5, 60, 0.87)):
    data = np.random.default_rng(0).normal(size=(rows, dims))
    plain = integral(GaussianMixture(n_components=1, random_state=0).fit(data), dims)
    bayesian = integral(BayesianGaussianMixture(n_components=1, random_state=0).fit(data), dims)
    print(f"{rows} rows of {dims}: GaussianMixture {plain:.3f}, BayesianGaussianMixture {bayesian:.3f}")
    assert abs(plain - 1) < 0.02, "the estimate of the integral is wrong: nothing follows"
    assert bayesian < below, "the behaviour has changed: it may be a density now"
P
"$work/venv/bin/python" "$work/probe.py"
