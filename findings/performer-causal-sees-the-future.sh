#!/usr/bin/env bash
# performer-pytorch 1.1.4: the causal language model's logits move when the future changes.
#
# Expected: with causal=True the logits at a position depend on the tokens up to it.
# Seen (torch 2.13.0, float64, CPU): changing tokens 11 and later moves logits before them by about 0.04, where all logits
#   are below 2.2. The positive features of the keys are divided by the exponential of their largest value over the whole
#   sequence, future included, and then a constant (1e-4) is added, so the division does not cancel.
# Matters: cross-entropy of such a model is no likelihood of a sequence; no mask is wrong, so reading the code shows nothing.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 einops==0.8.2 2>/dev/null
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps performer-pytorch==1.1.4 axial-positional-embedding==0.3.12 \
  local-attention==1.11.2 hyper-connections==0.4.11 torch-einops-utils==0.2.0 einx==0.4.3 frozendict==2.5.1 loguru==0.7.3 sympy==1.14.0 2>/dev/null
cat > "$work/probe.py" <<'P'
from importlib.metadata import version

import torch
from performer_pytorch import PerformerLM

torch.manual_seed(0)
model = PerformerLM(num_tokens=11, dim=32, depth=2, max_seq_len=64, heads=2, causal=True)
model = model.double().eval()
tokens = torch.randint(11, (2, 64))
with torch.no_grad():
    for weight in model.parameters():
        if weight.dim() > 1:
            weight += 0.05 * torch.randn_like(weight)
    before = model(tokens)
    assert torch.equal(model(tokens), before), "not deterministic: nothing follows"
    moved = 0.0
    for place in range(1, 64):
        changed = tokens.clone()
        changed[:, place:] = torch.randint(11, (2, 64 - place))
        moved = max(moved, (model(changed) - before)[:, :place].abs().max().item())
print(f"performer-pytorch {version('performer-pytorch')}, torch {torch.__version__}")
print(f"logits before the first changed token move by up to {moved:.3f}; the largest is {before.abs().max():.2f}")
assert moved > 1e-3, "the behaviour has changed: the future no longer shows"
P
"$work/venv/bin/python" "$work/probe.py"
