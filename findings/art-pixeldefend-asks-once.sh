#!/usr/bin/env bash
# adversarial-robustness-toolbox 1.20.1: its PixelDefend is not the paper's Algorithm 1, and stops at black and white pixels.
#
# Expected (Song et al., ICLR 2018, Algorithm 1): each pixel takes the likeliest level near its own given the *purified* pixels before.
# Seen: it asks the model once, about the attacked image. With a model that copies the pixel before, 110 90 110 90 becomes 100 106 94 106
#   where the algorithm gives 100 100 100 100. With NumPy 2 a pixel of 0 or 255 wraps around as
#   uint8, so no level is near it, and an OverflowError ends the call: MNIST is mostly black.
# Matters: robustness that is reported with this class is that of another, much weaker defence.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 adversarial-robustness-toolbox==1.20.1 packaging==26.3 2>/dev/null
cat > "$work/probe.py" <<'P'
import warnings

import art
import numpy as np
from art.defences.preprocessor import PixelDefend
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import NeuralNetworkMixin

LEVELS, EPS = np.arange(256), 16


def conditional(before):
    """p(level | pixels before): near 100 at first, then near the pixel before."""
    weights = 0.8 ** np.abs(LEVELS - (before[-1] if len(before) else 100))
    return weights / weights.sum()


class Copies(ClassifierMixin, NeuralNetworkMixin):
    num_asked = 0

    def get_activations(self, x, layer, batch_size, framework=False):
        self.num_asked += 1
        rows = np.rint(x * 255).astype(int).reshape(len(x), -1)
        return np.array([[conditional(row[:t]) for t in range(len(row))] for row in rows])


Copies.__abstractmethods__ = frozenset()


def algorithm_1(row):
    row = row.copy()
    for t, level in enumerate(row):
        near = LEVELS[max(0, level - EPS) : level + EPS + 1]
        row[t] = near[conditional(row[:t])[near].argmax()]
    return row


def theirs(row):
    model = Copies(channels_first=False)
    images = np.float32(row)[None, :, None, None] / np.float32(255)
    found, _ = PixelDefend(eps=EPS, pixel_cnn=model)(images)
    assert model.num_asked == 1
    return np.rint(found.ravel() * 255).astype(int)


attacked = np.array([110, 90, 110, 90])
print(f"adversarial-robustness-toolbox {art.__version__}, numpy {np.__version__}; attacked {attacked}")
print("Algorithm 1:", algorithm_1(attacked), " ART:", theirs(attacked))
assert algorithm_1(attacked).tolist() == [100] * 4
assert theirs(attacked).tolist() == [100, 106, 94, 106], "the behaviour has changed"
for level in (0, 255):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs(np.array([level, level]))
        raise SystemExit(f"the behaviour has changed: a pixel of {level} is purified")
    except OverflowError as error:
        print(f"a pixel of {level}: OverflowError: {error}")
P
HOME="$work" "$work/venv/bin/python" "$work/probe.py" 2>&1 | grep -v -i -e warn -e "self.eps"
