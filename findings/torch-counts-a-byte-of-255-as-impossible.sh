#!/usr/bin/env bash
# torch 2.13.0: Poisson, Binomial and Multinomial give a count of 255 that is stored as uint8 the log-probability -inf.
#
# Expected: log_prob depends on the value, not on its dtype; 255 lies in the support, and the check of the support passes it.
# Seen (CPU): lgamma(value + 1) is taken in the dtype of the value, where 255 + 1 is 0. Poisson(250) gives -inf for 255 as uint8 and -3.7
#   as int64, all bytes below are right; Binomial(255, 0.99) and Multinomial likewise, and int8 likewise at 127. Nothing is
#   raised. Geometric, NegativeBinomial, Normal and Categorical are right, and Bernoulli refuses.
# Matters: a binomial over 255 trials is a usual likelihood of 8-bit images: one white pixel makes an image impossible, and the mean
#   log-likelihood of a test set -inf. Give it float or int64.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 2>/dev/null
cat > "$work/probe.py" <<'P'
import torch
from torch.distributions import Binomial, Geometric, Multinomial, NegativeBinomial, Poisson

wide = torch.int64
cases = {
    "Poisson(250) of 254": (Poisson(250.0), 254, torch.uint8),
    "Poisson(250) of 255": (Poisson(250.0), 255, torch.uint8),
    "Binomial(255, 0.99) of 254": (Binomial(255, torch.tensor(0.99)), 254, torch.uint8),
    "Binomial(255, 0.99) of 255": (Binomial(255, torch.tensor(0.99)), 255, torch.uint8),
    "Multinomial(300) of 255, 45": (Multinomial(300, torch.tensor([0.85, 0.15])), [255, 45], torch.uint8),
    "Poisson(100) of 127": (Poisson(100.0), 127, torch.int8),
    "Geometric(0.3) of 255": (Geometric(torch.tensor(0.3)), 255, torch.uint8),
    "NegativeBinomial(3, 0.3) of 255": (NegativeBinomial(3.0, torch.tensor(0.3)), 255, torch.uint8),
}
print(f"torch {torch.__version__}")
wrong = []
for name, (distribution, count, narrow) in cases.items():
    value = torch.tensor(count, dtype=narrow)
    assert distribution.support.check(value).all()
    found = distribution.log_prob(value).item()
    right = distribution.log_prob(value.to(wide)).item()
    print(f"{name}: {found:.3f} as {str(narrow)[6:]}, {right:.3f} as int64")
    assert abs(right) < 300 and (found == right or found == float("-inf"))
    wrong += [name] if found != right else []
assert wrong == [
    "Poisson(250) of 255",
    "Binomial(255, 0.99) of 255",
    "Multinomial(300) of 255, 45",
    "Poisson(100) of 127",
], "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
