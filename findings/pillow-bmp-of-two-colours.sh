#!/usr/bin/env bash
# Pillow 13.0.0: an 8-bit BMP whose palette has two entries is read as if every byte were eight pixels.
#
# Expected: pixels 0 1 0 1 1 0 1 0, one byte each, come back as they are.
# Seen: the image opens in mode "1" and its bytes are taken for bits; all pixels are 0. No error, no warning.
# Matters: binarised pictures saved with a palette of their two colours are the natural input of binary models.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0 numpy==2.4.6 2>/dev/null
cat > "$work/probe.py" <<'P'
import io
import struct

import numpy as np
import PIL
from PIL import Image

pixels = bytes([0, 1, 0, 1, 1, 0, 1, 0])
palette = bytes([0, 0, 0, 0, 255, 255, 255, 0])  # black, white
offset = 14 + 40 + len(palette)
header = struct.pack("<IiiHHIIiiII", 40, 8, 1, 1, 8, 0, len(pixels), 2835, 2835, 2, 0)
file = b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + header + palette + pixels
image = Image.open(io.BytesIO(file))
found = np.asarray(image).astype(int).ravel().tolist()
print(f"Pillow {PIL.__version__}: mode {image.mode}, pixels {found}, expected {list(pixels)} (or 0 and 255)")
assert image.mode == "1" and found == [0] * 8, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
