#!/usr/bin/env bash
# torch 2.13.0 replaces attributes of its own module while it runs: torch.Storage and torch.manual_seed.
#
# Expected: after `import torch` an attribute such as torch.Storage is the same object for the life of the process.
# Seen: torch.set_default_dtype(torch.float64) makes torch.Storage another class, and importing torch._dynamo (which the
#   first torch.compile does) makes torch.manual_seed another function.
# Matters: whoever compares torch's attributes by identity, to find a plugin that patches torch, has to know both, else an
#   honest plugin that sets a dtype or compiles is taken for one that patches.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 2>/dev/null
cat > "$work/probe.py" <<'P'
import torch

names = [n for n in dir(torch) if not n.startswith("_")]


def replaced(act):
    before = {n: getattr(torch, n) for n in names}
    act()
    return sorted(n for n in names if getattr(torch, n) is not before[n])


def dynamo():
    import torch._dynamo  # noqa: F401


by_dtype = replaced(lambda: torch.set_default_dtype(torch.float64))
by_dynamo = replaced(dynamo)
print(f"torch {torch.__version__}")
print(f"torch.set_default_dtype replaces {by_dtype}")
print(f"import torch._dynamo replaces {by_dynamo}")
assert by_dtype == ["Storage"] and by_dynamo == ["manual_seed"], "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
