#!/usr/bin/env bash
# scikit-learn 1.9.1: with labels 1 and 2, roc_auc_score and average_precision_score take different classes as positive.
#
# Expected: one convention, or an error as roc_curve and precision_recall_curve give ("pos_label is not specified").
# Seen: roc_auc_score takes the larger label, 2; average_precision_score takes 1, its default, without a word: of scores that are larger
#   for class 2 the AUROC is 0.93, and the average precision is that of class 1, found by the scores of class 2. With text labels
#   roc_auc_score takes the one that sorts last, so "in" and "out" give 0.93 and the same scores under "typical" and "outlier" 0.07,
#   while the other three refuse.
# Matters: out-of-distribution detection reports both side by side. Use 0 and 1, or name pos_label.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 2>/dev/null
cat > "$work/probe.py" <<'P'
import numpy as np
import sklearn
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

draws = np.random.default_rng(0)
is_outlier = np.repeat([0, 1], [1000, 200])
scores = draws.normal(size=1200) + 2 * is_outlier


def answer(function, labels):
    try:
        value = function(labels, scores)
    except ValueError:
        return "refused"
    return round(value, 2) if np.isscalar(value) else "a curve"


functions = (roc_auc_score, average_precision_score, roc_curve, precision_recall_curve)
print(f"scikit-learn {sklearn.__version__}: {', '.join(each.__name__ for each in functions)}")
found = {}
for names in ((0, 1), (1, 2), ("in", "out"), ("typical", "outlier")):
    found[names] = [answer(each, np.array(names)[is_outlier]) for each in functions]
    print(f"home {names[0]}, outlier {names[1]}: {found[names]}")
of_home = round(average_precision_score(1 - is_outlier, scores), 2)
assert found == {
    (0, 1): [0.93, 0.80, "a curve", "a curve"],
    (1, 2): [0.93, of_home, "refused", "refused"],
    ("in", "out"): [0.93, "refused", "refused", "refused"],
    ("typical", "outlier"): [0.07, "refused", "refused", "refused"],
}, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
