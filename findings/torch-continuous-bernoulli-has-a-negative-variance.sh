#!/usr/bin/env bash
# torch 2.13.0: the variance of a ContinuousBernoulli near 0.5 is wrong in float32, down to -1.6.
#
# Expected: 1/12 = 0.0833 to three digits for every parameter between 0.47 and 0.53. The class takes a Taylor series within `lims`, by
#   default (0.499, 0.501), so as to be stable there.
# Seen (CPU, float32): outside those limits the closed form cancels: 0.1299 at 0.4975, 0.0176 at 0.498, -0.3027 at 0.4985 and -1.6094
#   at 0.499; the standard deviation is nan there. The mean is off in its third digit. float64 is right, log_prob too (to 2e-5).
# Matters: standardised residuals of a decoder of grey levels, or moments of its samples, are nan for the pixels about which it says
#   least. Ask in float64, or pass lims=(0.48, 0.52).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 2>/dev/null
cat > "$work/probe.py" <<'P'
import torch
from torch.distributions import ContinuousBernoulli

print(f"torch {torch.__version__}")
found = {}
for probability in (0.4, 0.47, 0.4975, 0.498, 0.4985, 0.499, 0.4995, 0.5):
    narrow = ContinuousBernoulli(torch.tensor(probability))
    right = ContinuousBernoulli(torch.tensor(probability, dtype=torch.float64))
    found[probability] = narrow.variance.item()
    event = torch.tensor(0.3)
    error = (narrow.log_prob(event) - right.log_prob(event.double())).abs().item()
    print(
        f"{probability}: variance {narrow.variance:.4f} (float64 {right.variance:.4f}), standard deviation {narrow.stddev:.3f}, "
        f"mean {narrow.mean:.5f} (float64 {right.mean:.5f}); log_prob differs by {error:.0e}"
    )
    assert abs(right.variance - 1 / 12) < 1e-3 and error < 1e-4
wider = ContinuousBernoulli(torch.tensor([0.4975, 0.498, 0.4985, 0.499]), lims=(0.48, 0.52)).variance
print("lims=(0.48, 0.52):", [round(value, 4) for value in wider.tolist()])
assert (wider - 1 / 12).abs().max() < 1e-3
assert all(abs(found[probability] - 1 / 12) < 1e-3 for probability in (0.4, 0.47, 0.4995, 0.5))
assert found[0.4985] < 0 and found[0.499] < -1 and found[0.4975] > 0.1 and found[0.498] < 0.03, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
