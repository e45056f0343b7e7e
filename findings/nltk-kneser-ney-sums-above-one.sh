#!/usr/bin/env bash
# nltk 3.10.4: `KneserNeyInterpolated` gives the start of every sentence more probability than there is.
#
# Expected: after any context the scores of the whole vocabulary sum to 1, as they do for `WittenBellInterpolated` and
#   `AbsoluteDiscountingInterpolated` of the same counts.
# Seen: with order 3 and nltk's own padding, the scores after ("<s>", "<s>") sum to 1.0025 and after any other context that ends in "<s>" to
#   1.025; with a discount of 0.75, to 1.141 and 1.1875. The share that is passed down counts "<s>" among the followers of "<s>"; the continuation
#   counts that it is divided by do not, as nothing stands before the first "<s>". Order 1 raises ZeroDivisionError.
# Matters: the first symbol of each name or line is scored with too much mass, so bits per character of short texts come out too low, and a
#   model compared with it in nats starts behind.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check nltk==3.10.4 2>/dev/null
cat > "$work/probe.py" <<'P'
from itertools import product

import nltk
from nltk.lm import AbsoluteDiscountingInterpolated, KneserNeyInterpolated, WittenBellInterpolated
from nltk.lm.preprocessing import padded_everygram_pipeline

print(f"nltk {nltk.__version__}")
WORDS = ["abracadabra", "barbara", "cabbage", "dad"]


def totals(model):
    model.fit(*padded_everygram_pipeline(3, [list(word) for word in WORDS]))
    symbols = sorted(model.vocab)
    return {two: sum(model.score(one, two) for one in symbols) for two in product(symbols, repeat=2)}


for right in (WittenBellInterpolated(3), AbsoluteDiscountingInterpolated(3)):
    found = totals(right).values()
    print(f"{type(right).__name__}: {min(found):.6f} to {max(found):.6f}")
    assert max(abs(total - 1) for total in found) < 1e-9, "a model that sums to 1 no longer does: nothing follows"
for discount, start, other in ((0.1, 1.0025, 1.025), (0.75, 1.140625, 1.1875)):
    found = totals(KneserNeyInterpolated(3, discount=discount))
    wrong = {two for two, total in found.items() if abs(total - 1) > 1e-9}
    print(f"KneserNeyInterpolated, discount {discount}: {found['<s>', '<s>']:.6f} at the start, {found['a', '<s>']:.6f} after 'a<s>', {len(wrong)} contexts of {len(found)}")
    assert wrong == {two for two in found if two[1] == "<s>"}, "the behaviour has changed: other contexts"
    assert abs(found["<s>", "<s>"] - start) < 1e-9 and abs(found["a", "<s>"] - other) < 1e-9, "the behaviour has changed: other totals"
P
"$work/venv/bin/python" "$work/probe.py"
