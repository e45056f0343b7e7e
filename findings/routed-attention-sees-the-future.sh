#!/usr/bin/env bash
# reformer-pytorch 1.4.4 and routing-transformer 1.6.1: causal language models whose logits move when the future changes.
#
# Expected: with causal=True every attention weight on a later token is zero, so logits depend on the tokens up to a position.
# Seen (torch 2.13.0, float64, CPU, same random state for every call): the weights are masked, but which tokens share a chunk
#   or a cluster is decided over the whole sequence (sorted hashes; the top k of each centroid). Changing later tokens moves
#   earlier logits by about 0.8 (Reformer) and 2.2 (Routing Transformer), where all logits are below 2.2.
# Matters: bits per dim of both are no likelihoods. A test of the mask alone passes; one of the parameters does not.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 einops==0.8.2 2>/dev/null
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps reformer-pytorch==1.4.4 routing-transformer==1.6.1 \
  axial-positional-embedding==0.3.12 local-attention==1.11.2 hyper-connections==0.4.11 torch-einops-utils==0.2.0 einx==0.4.3 \
  frozendict==2.5.1 loguru==0.7.3 packaging==26.3 product-key-memory==0.3.0 colt5-attention==0.11.2 mixture-of-experts==0.2.3 2>/dev/null
cat > "$work/probe.py" <<'P'
from importlib.metadata import version

import torch
from reformer_pytorch import ReformerLM
from routing_transformer import RoutingTransformerLM

common = {"num_tokens": 11, "dim": 32, "depth": 2, "heads": 2, "max_seq_len": 64, "causal": True}
cases = {
    "reformer-pytorch": lambda: ReformerLM(**common, bucket_size=8, n_hashes=2),
    "routing-transformer": lambda: RoutingTransformerLM(**common, window_size=8, n_local_attn_heads=(1, 1)),
}


def logits(model, tokens):
    torch.manual_seed(5)  # the hashes of the Reformer are random
    found = model(tokens)
    return found[0] if isinstance(found, tuple) else found


print(f"torch {torch.__version__}")
for name, make in cases.items():
    torch.manual_seed(0)
    model = make().double().eval()
    tokens = torch.randint(11, (2, 64))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight += 0.05 * torch.randn_like(weight)
        before = logits(model, tokens)
        assert torch.equal(logits(model, tokens), before), "not deterministic: nothing follows"
        moved = 0.0
        for place in range(1, 64):
            changed = tokens.clone()
            changed[:, place:] = torch.randint(11, (2, 64 - place))
            moved = max(moved, (logits(model, changed) - before)[:, :place].abs().max().item())
    print(f"{name} {version(name)}: logits before the first changed token move by up to {moved:.3f}; the largest is {before.abs().max():.2f}")
    assert moved > 1e-2, "the behaviour has changed: the future no longer shows"
P
"$work/venv/bin/python" "$work/probe.py"
