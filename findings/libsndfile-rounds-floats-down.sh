#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2): floats written as PCM_16 are rounded towards minus infinity, so sound gets an offset.
#
# Expected: the nearest of the 65,536 levels, so errors of both signs that cancel.
# Seen: every error lies between -1 and 0 steps, on average -0.5; a float written and read again is never larger.
# Matters: a model of 16-bit or mu-law levels whose samples are written as floats leaves other levels than it drew.
#   Round to int16 first.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6 2>/dev/null
cat > "$work/probe.py" <<'P'
import io

import numpy as np
import soundfile

wanted = np.linspace(-0.99, 0.99, 200_001)
file = io.BytesIO()
soundfile.write(file, wanted, 8000, format="WAV", subtype="PCM_16")
file.seek(0)
levels, _ = soundfile.read(file, dtype="int16")
errors = {scale: levels - wanted * scale for scale in (32767, 32768)}
scale = min(errors, key=lambda s: np.ptp(errors[s]))
steps = errors[scale]
print(f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}: scale {scale}")
print(f"errors from {steps.min():.3f} to {steps.max():.3f} steps, mean {steps.mean():.3f}")
assert -1.01 < steps.min() and steps.max() < 0.01 and abs(steps.mean() + 0.5) < 0.01, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
