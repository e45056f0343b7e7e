#!/usr/bin/env bash
# copulas 0.14.1: `GaussianMultivariate.probability_density` is the density of another variable than the one it is given.
#
# Expected: the density of the rows: that of the normal scores times, per column, the column's density over the normal density. It
#   integrates to 1, and rows in metres and in millimetres differ by a factor of 1000 a column.
# Seen (NumPy 2.4.6): the derivative of the map to normal scores is left out. Two normal columns of scale 1 integrate to 1.02, of
#   scale 10 to 102: the numbers are the same for both.
# Matters: its log_probability_density cannot be compared with any other model's, nor between two fits with other marginals: the choice
#   of the marginal that spreads the scores most wins.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 copulas==0.14.1 2>/dev/null
cat > "$work/probe.py" <<'P'
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
from copulas.multivariate import GaussianMultivariate  # noqa: E402
from copulas.univariate import GaussianUnivariate  # noqa: E402

print(f"copulas {version('copulas')}, NumPy {np.__version__}")
standard = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=1000)
for scale in (1, 10):
    model = GaussianMultivariate(distribution=GaussianUnivariate)
    model.fit(pd.DataFrame(scale * standard, columns=["a", "b"]))
    line = scale * np.linspace(-6, 6, 161)
    a, b = np.meshgrid(line, line)
    density = model.probability_density(pd.DataFrame({"a": a.ravel(), "b": b.ravel()}))
    integral = density.sum() * (line[1] - line[0]) ** 2
    print(f"columns of scale {scale}: the density integrates to {integral:.2f}")
    assert abs(integral / scale**2 - 1) < 0.1, "the behaviour has changed: the scale may be counted now"
P
"$work/venv/bin/python" "$work/probe.py"
