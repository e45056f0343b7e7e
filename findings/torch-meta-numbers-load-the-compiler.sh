#!/usr/bin/env bash
# torch 2.13.0: a random number on the device "meta" loads torch's compiler, one draw but not the other.
#
# Expected: a tensor on "meta" has a shape and no numbers, so building a network there costs less than building it.
# Seen: `torch.rand`, `uniform_` and `bernoulli_` on "meta" load nothing, and neither does `nn.Linear`. `normal_`, `exponential_` and `nn.Embedding`
#   each import `torch._dynamo`, some 800 modules: a second and tens of megabytes, once per process.
# Matters: who counts a network's parameters on "meta" before memory is taken, as large models are, pays for the compiler if the network has
#   an embedding, and not if it has linear layers alone.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 2>/dev/null
cat > "$work/probe.py" <<'P'
import resource
import sys
import time

import torch

MADE = {
    "linear": lambda: torch.nn.Linear(3, 4, device="meta"),
    "uniform_": lambda: torch.empty(3, device="meta").uniform_(),
    "bernoulli_": lambda: torch.empty(3, device="meta").bernoulli_(),
    "normal_": lambda: torch.empty(3, device="meta").normal_(),
    "exponential_": lambda: torch.empty(3, device="meta").exponential_(),
    "rand": lambda: torch.rand(3, device="meta"),
    "embedding": lambda: torch.nn.Embedding(3, 4, device="meta"),
}
name, expected = sys.argv[1], sys.argv[2] == "loads"
before, started = len(sys.modules), time.process_time()
MADE[name]()
loads = "torch._dynamo" in sys.modules
print(f"torch {torch.__version__}: {name}: {len(sys.modules) - before} modules, {time.process_time() - started:.2f} s, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
assert loads == expected, f"the behaviour has changed: {name}"
P
for name in linear rand uniform_ bernoulli_; do "$work/venv/bin/python" "$work/probe.py" "$name" none; done
for name in normal_ exponential_ embedding; do "$work/venv/bin/python" "$work/probe.py" "$name" loads; done
