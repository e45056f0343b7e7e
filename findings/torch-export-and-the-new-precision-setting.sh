#!/usr/bin/env bash
# torch 2.13.0: the setting for precision stops `torch.export`, and an export before it stops the setting.
#
# Expected: `torch.backends.fp32_precision = "ieee"` asks every backend for full float32, and a linear layer can be exported with it as without.
# Seen (CPU): with the setting, all four backends read "ieee", and `torch.export.export` raises a RuntimeError which says that cuDNN's convolutions
#   and RNNs have different TF32 flags. They have not: reading `torch.backends.cudnn.allow_tf32` raises the same, as the default of the old flag is
#   compared with the new one. In the other order the export works, but from then on convolutions and RNNs stay at "tf32" whatever is set for all:
#   the export reads the old flag and puts it back, and what was inherited is now set by hand. Even an empty `torch.backends.cudnn.flags()` does it.
# Matters: a benchmark that asks for full float32 cannot export its models; one that exports or compiles first measures convolutions on a GPU in
#   TF32 and records "ieee".
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 2>/dev/null
cat > "$work/probe.py" <<'P'
import sys

import torch

backends = torch.backends


def precisions():
    return [backends.fp32_precision, backends.cudnn.conv.fp32_precision, backends.cudnn.rnn.fp32_precision]


def export():
    try:
        torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(1, 3),))
    except RuntimeError as error:
        return "different TF32 flags" in str(error)
    return None


if sys.argv[1] == "set":
    backends.fp32_precision = "ieee"
    print(f"torch {torch.__version__}: all, conv, rnn {precisions()}; export raises: {(raised := export())}")
    assert precisions() == ["ieee"] * 3 and raised is True, "the behaviour has changed: an export after the setting"
else:
    before = precisions()
    if sys.argv[1] == "export":
        assert export() is None, "an export without a setting fails: nothing follows"
    else:
        with backends.cudnn.flags():
            pass
    backends.fp32_precision = "ieee"
    print(f"{before}, then {sys.argv[1]}, then the setting: {precisions()}")
    assert precisions() == ["ieee", "tf32", "tf32"], "the behaviour has changed: the setting after an export"
P
for first in set export flags; do "$work/venv/bin/python" -W ignore "$work/probe.py" "$first"; done
