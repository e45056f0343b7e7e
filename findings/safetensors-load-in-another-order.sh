#!/usr/bin/env bash
# safetensors 0.8.0: safetensors.torch.load returns the tensors of the same bytes in an order that differs from call to call.
#
# Expected: the order of the file, or of the names; a dict keeps the order in which it was filled, so code relies on it.
# Seen: of 20 calls in one process on the same bytes (40 tensors) nearly every one has another order. load_file keeps one.
# Matters: a checksum, a seed or a flat vector of weights that is made by walking the dict is another one each time.
#   Sort by name first.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 safetensors==0.8.0 2>/dev/null
cat > "$work/probe.py" <<'P'
import os
import tempfile
from importlib.metadata import version

import torch
from safetensors.torch import load, load_file, save

data = save({f"layer{i:02d}": torch.full((2,), float(i)) for i in range(40)})
orders = {tuple(load(data)) for _ in range(20)}
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "weights.safetensors")
    with open(path, "wb") as file:
        file.write(data)
    of_file = {tuple(load_file(path)) for _ in range(20)}
print(f"safetensors {version('safetensors')}: {len(orders)} orders in 20 calls of load, {len(of_file)} of load_file")
assert len(orders) > 10 and len(of_file) == 1, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
