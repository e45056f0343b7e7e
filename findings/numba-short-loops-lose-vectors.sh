#!/usr/bin/env bash
# numba 0.68.1: an inner loop of 16 steps, known to the compiler, is compiled without vectors; the same loop over an unknown length has them.
#
# Expected: a loop over 16 neighbouring float32 numbers, two vectors of AVX2, is what vector units are for, and a length that is known when the
#   code is compiled helps.
# Seen: of a polynomial of each number of a `(N, 16)` array, compiled for AVX2, `for lane in range(16)` has no packed multiplication at all:
#   LLVM unrolls the loop before it looks for vectors, and Numba leaves the pass that would find them in straight code (SLP) off.
#   `range(a.shape[1])`, one flat loop over all numbers, and `NUMBA_SLP_VECTORIZE=1` have them.
# Matters: "lanes" written out as short loops, as in a softmax of 16 queries side by side, run one number at a time: an exponential took 2.0 ns
#   so, and 0.24 ns as one flat loop (AMD EPYC, Zen 4).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 numba==0.68.1 2>/dev/null
cat > "$work/probe.py" <<'P'
import os
import re

import numba
from numba import float32, njit, void


@njit(inline="always")
def polynomial(x):
    total = x * float32(0.1) + float32(0.2)
    for _ in range(4):
        total = total * x + float32(0.3)
    return total


def known(a):
    for row in range(a.shape[0]):
        for lane in range(16):
            a[row, lane] = polynomial(a[row, lane])


def unknown(a):
    for row in range(a.shape[0]):
        for lane in range(a.shape[1]):
            a[row, lane] = polynomial(a[row, lane])


def flat(a):
    for i in range(a.shape[0]):
        a[i] = polynomial(a[i])


def packed(function, kind):
    compiled = njit(void(kind), error_model="numpy")(function)
    (code,) = compiled.inspect_asm().values()
    return len(re.findall(r"\bv(?:f[n]?m\w+|mul)ps\b", code))


counts = {
    "range(16)": packed(known, float32[:, ::1]),
    "range(a.shape[1])": packed(unknown, float32[:, ::1]),
    "one flat loop": packed(flat, float32[::1]),
}
slp = os.environ.get("NUMBA_SLP_VECTORIZE", "0")
print(f"numba {numba.__version__}, NUMBA_SLP_VECTORIZE={slp}; packed multiplications: {counts}")
assert counts["range(a.shape[1])"] > 0 < counts["one flat loop"], "the behaviour has changed"
assert (counts["range(16)"] > 0) == (slp == "1"), "the behaviour has changed"
P
export NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx,+avx2,+fma
for slp in 0 1; do
  HOME="$work" NUMBA_SLP_VECTORIZE=$slp "$work/venv/bin/python" "$work/probe.py" 2>&1 | grep -v -i warn
done
