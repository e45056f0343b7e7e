#!/usr/bin/env bash
# torchmetrics 1.9.0: AUROC and average precision of scores in nats are another number, without a word.
#
# Expected: both depend on the order of the scores alone, as scikit-learn's do: 0.92 for -log p of 85 +- 10 against 105 +- 10 nats.
# Seen: a batch with any score outside [0, 1] goes through a sigmoid in its own precision, where all large scores become exactly 1:
#   AUROC 0.5 in float32 and float64 alike; 0.80 where log p is the score (the least of them underflow to 0); 0.92 in bits/dim, which
#   lie within [0, 1]. One score of 1.2 in one of two batches is enough to squash that batch alone: AUROC 1.0, and the same scores
#   in one batch have 0.92. (The sigmoid is documented; that it ties scores and depends on the batch is not.)
# Matters: likelihood scores for out-of-distribution detection are nats. Rank them first, or hand scikit-learn the scores.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1 2>/dev/null
cat > "$work/probe.py" <<'P'
import sklearn
import torch
import torchmetrics
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

torch.manual_seed(0)
num = 1000
nats = torch.cat([85 + 10 * torch.randn(num), 105 + 10 * torch.randn(num)])
is_outlier = torch.arange(2 * num) >= num
labels = is_outlier.long()
right = roc_auc_score(labels, nats)
print(f"torchmetrics {torchmetrics.__version__}, scikit-learn {sklearn.__version__}: {right:.4f}")
found = {
    "nats": binary_auroc(nats, labels),
    "nats, float64": binary_auroc(nats.double(), labels),
    "log p": binary_auroc(-nats, 1 - labels),
    "bits/dim of 784": binary_auroc(nats / 784, labels),
    "average precision of nats": binary_average_precision(nats, labels),
}
scores = nats / 784
scores[-1] = 1.2
metric = torchmetrics.classification.BinaryAUROC()
for part in (slice(None, num), slice(num, None)):
    metric.update(scores[part], labels[part])
found["two batches, one score of 1.2"] = metric.compute()
for name, value in found.items():
    print(f"{name}: {value:.4f}")
values = {name: round(float(value), 2) for name, value in found.items()}
assert round(right, 2) == 0.92 and round(average_precision_score(labels, nats), 2) == 0.91
assert round(roc_auc_score(labels, scores), 2) == 0.92
assert values == {
    "nats": 0.5,
    "nats, float64": 0.5,
    "log p": 0.8,
    "bits/dim of 784": 0.92,
    "average precision of nats": 0.5,
    "two batches, one score of 1.2": 1.0,
}, "the behaviour has changed"
P
"$work/venv/bin/python" "$work/probe.py"
