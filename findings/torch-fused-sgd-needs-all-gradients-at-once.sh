#!/usr/bin/env bash
# torch 2.13.0: `SGD(momentum=..., fused=True)` stops with an error when a parameter gets its first gradient later than others.
#
# Expected: what `foreach=True` and the plain loop do: a parameter without a gradient is left alone, and gets its momentum with its first one.
# Seen (CPU): in the second step, `TypeError: expected Tensor as element 1 in argument 2, but got NoneType`. The fused path makes momentum
#   buffers only where a whole group has none yet. If all parameters have a gradient in the first step, the gap later is harmless. Adam,
#   AdamW and Adagrad take the same steps fused and not.
# Matters: ensembles whose members train in turn, layers that thaw, and experts that a batch does not choose train with Adam, or with
#   SGD as it is by default, and stop where `fused=True` is set for speed.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 torch==2.13.0 2>/dev/null
cat > "$work/probe.py" <<'P'
import torch


def trained(optimizer, turns, **options):
    """Two parameters after steps in which those of a turn have a gradient; the error, if there is one."""
    parameters = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    steps = optimizer(parameters, lr=0.1, **options)
    try:
        for turn in turns:
            steps.zero_grad()
            sum(parameters[number].sum() for number in turn).backward()
            steps.step()
    except TypeError as error:
        return f"TypeError: {error}"
    return [round(parameter[0].item(), 4) for parameter in parameters]


print(f"torch {torch.__version__}")
late, gap = [(0,), (0, 1), (0,)], [(0, 1), (0,), (0, 1)]
for name, turns in (("first gradient later", late), ("a gap later", gap)):
    plain = trained(torch.optim.SGD, turns, momentum=0.9, foreach=True)
    fused = trained(torch.optim.SGD, turns, momentum=0.9, fused=True)
    print(f"SGD, {name}: foreach {plain}; fused {fused}")
    assert isinstance(plain, list), "the reference should train: nothing follows"
    if turns is late:
        assert isinstance(fused, str), "the behaviour has changed: fused SGD takes a late gradient"
    else:
        assert fused == plain, "the behaviour has changed: a gap"
for optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad):
    plain, fused = trained(optimizer, late, foreach=True), trained(optimizer, late, fused=True)
    print(f"{optimizer.__name__}, first gradient later: foreach {plain}; fused {fused}")
    assert plain == fused, "the behaviour has changed: another optimiser"
P
"$work/venv/bin/python" "$work/probe.py"
