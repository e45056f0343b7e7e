#!/usr/bin/env bash
# torch 2.13.0: a comparison of a uint8 tensor with a number outside 0..255 wraps the number first, without a word.
#
# Expected: pixels below 256 are all of them, none equals 256 (a start or mask symbol beside 256 grey levels), all are above -1.
#   NumPy 2 compares by value, and torch itself raises where `clamp` or `fill_` are given 256.
# Seen (CPU): `pixels < 256` is False everywhere, `pixels == 256` is True where a pixel is 0, `pixels > -1` is False everywhere. int8
#   and int16 wrap alike; a 0-d tensor wraps, too; a 1-d tensor of int64 is compared by value; `torch.compile` does what eager does.
# Matters: a check `events.max() < num_values` refuses every valid image of 256 levels, and a mask symbol blots out black pixels.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 2>/dev/null
cat > "$work/probe.py" <<'P'
import numpy as np
import torch

pixels = torch.tensor([0, 1, 200, 255], dtype=torch.uint8)
found = {
    "< 256": pixels < 256,
    "== 256": pixels == 256,
    "> -1": pixels > -1,
    "< tensor(256)": pixels < torch.tensor(256),
    "< tensor([256])": pixels < torch.tensor([256]),
    "int16 < 65536": pixels.to(torch.int16) < 65536,
}
print(f"torch {torch.__version__}, numpy {np.__version__}; pixels {pixels.tolist()}")
for text, values in found.items():
    print(f"pixels {text}: {values.tolist()}")
assert (pixels.numpy() < 256).all() and not (pixels.numpy() == 256).any(), "numpy has changed"
try:
    pixels.clamp(max=256)
    raise SystemExit("the behaviour has changed: clamp takes 256")
except RuntimeError as error:
    print(f"clamp(max=256): {error}")
lists = {text: values.tolist() for text, values in found.items()}
wraps = (
    lists["< 256"] == [False] * 4
    and lists["== 256"] == [True, False, False, False]
    and lists["> -1"] == [False] * 4
    and lists["< tensor(256)"] == [False] * 4
    and lists["< tensor([256])"] == [True] * 4
    and lists["int16 < 65536"] == [False] * 4
)
assert wraps, "the behaviour has changed: numbers are compared by value"
P
"$work/venv/bin/python" "$work/probe.py"
