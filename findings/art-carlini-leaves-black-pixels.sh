#!/usr/bin/env bash
# adversarial-robustness-toolbox 1.20.1: CarliniL2Method leaves every pixel that is exactly black or white as it is.
#
# Expected: an L2 attack moves whatever pixel changes the answer most cheaply, as Carlini and Wagner's own code does.
# Seen: it works in a space (tanh) where the slope at both ends of clip_values is about 1e-6, and follows the plain gradient, where the
#   authors' Adam would scale it up. On 8x8 digits black and white pixels, three of five, move by less than 1e-6, so the attack lives on
#   grey pixels alone. With clip_values a little wider than the data, (-0.02, 1.02), they move.
# Matters: on MNIST, four fifths of whose pixels are black, a defence or detector looks better than it is; "robust to Carlini-Wagner" needs
#   a look at which pixels moved.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 adversarial-robustness-toolbox==1.20.1 packaging==26.3 2>/dev/null
cat > "$work/probe.py" <<'P'
import art
import numpy as np
import sklearn
from art.attacks.evasion import CarliniL2Method
from art.estimators.classification import SklearnClassifier
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

digits = load_digits()
images, labels = (digits.data / 16).astype(np.float32), digits.target
model = LogisticRegression(max_iter=2000).fit(images[:1200], labels[:1200])
clean, answers = images[1200:1260], labels[1200:1260]
at_ends = (clean == 0) | (clean == 1)
print(f"adversarial-robustness-toolbox {art.__version__}, scikit-learn {sklearn.__version__}")
print(f"{at_ends.mean():.0%} of the pixels are black or white")
moved = {}
for low, high in ((0, 1), (-0.02, 1.02)):
    classifier = SklearnClassifier(model, clip_values=(low, high))
    attack = CarliniL2Method(classifier, max_iter=10, batch_size=60, verbose=False)
    attacked = attack.generate(clean, np.eye(10)[answers])
    change = np.abs(attacked - clean)
    fooled = (model.predict(attacked) != answers).mean()
    moved[low] = change[at_ends].max()
    print(
        f"clip_values ({low}, {high}): {fooled:.0%} fooled; black and white pixels move by at most "
        f"{moved[low]:.1e}, the others by {change[~at_ends].mean():.3f} on average"
    )
assert moved[0] < 1e-5 and moved[-0.02] > 1e-2, "the behaviour has changed"
P
HOME="$work" "$work/venv/bin/python" "$work/probe.py" 2>&1 | grep -v -i warn
