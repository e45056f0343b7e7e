#!/usr/bin/env bash
# transformers 5.23.0: cpmant is registered for AutoModelForCausalLM, and its logits read later tokens.
#
# Expected: a model that AutoModelForCausalLM builds predicts a token from those before it; of the 75 other types that were
#   built at tiny size and tried, all did.
# Seen (float64, CPU): changing tokens 20 and later moves logits before them by more than 1, as much as the logits themselves.
#   The input counts as a prompt, which the model reads in both directions.
# Matters: cross-entropy of shifted logits, which the class returns as its loss, is no likelihood of a text.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 transformers==5.23.0 2>/dev/null
cat > "$work/probe.py" <<'P'
import torch
import transformers
from transformers import AutoModelForCausalLM, CpmAntConfig, GPT2Config

common = {"vocab_size": 31}
configs = {
    "cpmant": CpmAntConfig(hidden_size=32, num_attention_heads=4, dim_head=8, dim_ff=64, num_hidden_layers=2, **common),
    "gpt2": GPT2Config(n_embd=32, n_head=4, n_layer=2, n_positions=64, **common),
}
print(f"transformers {transformers.__version__}, torch {torch.__version__}")
moved = {}
for name, config in configs.items():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight += 0.05 * torch.randn_like(weight)
        tokens = torch.randint(3, 31, (2, 40))
        changed = tokens.clone()
        changed[:, 20:] = torch.randint(3, 31, (2, 20))
        before, after = (model(input_ids=t, use_cache=False).logits for t in (tokens, changed))
    moved[name] = (after - before)[:, :20].abs().max().item()
    print(f"{name}: logits before the first changed token move by up to {moved[name]:.3g}; the largest is {before.abs().max():.3g}")
assert moved["cpmant"] > 0.1 and moved["gpt2"] == 0, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
