#!/usr/bin/env bash
# gluonts 0.17.0: `BinnedUniforms` scores the mass of a bin as a density, gives values outside the mass of the nearest bin, and its mean is
#   too small by the number of bins.
#
# Expected: the density of a bin is its mass over its width, 0 outside, and `mean` is that of the samples.
# Seen (torch 2.13.0, CPU): 20 equal bins on [2, 6] have density 0.25; `log_prob` gives the logarithm of 0.05, the mass. The integral over the
#   bins is their width, 0.2. A value of 100 scores like one in the last bin. `mean` gives 0.2 where the samples have 4.0.
# Matters: the negative log-likelihood of a series falls when the same range gets fewer bins (by log 2 nats a value for half as many), whatever the
#   data are; forecasts from `mean` are near zero. `SplicedBinnedPareto` is built on it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 "gluonts[torch]==0.17.0" 2>/dev/null
cat > "$work/probe.py" <<'P'
import warnings
from importlib.metadata import version

import torch

warnings.simplefilter("ignore")
from gluonts.torch.distributions import BinnedUniforms  # noqa: E402

print(f"gluonts {version('gluonts')}, torch {torch.__version__}")
torch.manual_seed(0)
for bins in (10, 20):
    model = BinnedUniforms(2.0, 6.0, torch.zeros(1, bins), numb_bins=bins)
    middles = torch.linspace(2, 6, 4001)[:-1] + 0.0005
    density = torch.cat([model.log_prob(x.view(1)) for x in middles]).exp()
    integral = density.sum().item() * 0.001
    drawn = model.sample((4000,)).mean().item()
    print(f"{bins} equal bins on [2, 6]: density {density[0].item():.3f}, integral {integral:.3f}, mean {model.mean.item():.2f}, mean of samples {drawn:.2f}")
    assert abs(integral - 4 / bins) < 1e-3, "the behaviour has changed: the width may be counted now"
    outside = model.log_prob(torch.tensor([100.0])).exp().item()
    assert abs(outside - 1 / bins) < 1e-6, "the behaviour has changed: values outside"
    assert abs(drawn - 4) < 0.2, "the samples are not those of the bins: nothing follows"
    assert abs(model.mean.item() - 4 / bins) < 1e-3, "the behaviour has changed: the mean"
P
"$work/venv/bin/python" "$work/probe.py"
