"""The stage `conformance`: every family on the device, in float32 and float64, beside the CPU.

A model is trained on the CPU on a few tiny events. Its copy on the device must give the same
log-probabilities up to rounding, and the same samples for the same noise by each of its
samplers. In float32 a draw within rounding of a CDF edge may fall on its other side, and then the
rest of that sample differs: such samples are counted, and at most two of 64 may. A step
that waits for the device is named; one that does not is captured in a CUDA graph, which must give
the same samples.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from parts import Parts, Rows
from torch import Tensor

from arbench.probability.flows.flow import Flow
from arbench.probability.model import Model
from arbench.registry.manager import registry
from arbench.testing.conformance import subjects
from arbench.testing.subject import NotApplicableError

NUM_EVENTS = 64
MOST_STRAYED = {torch.float64: 0, torch.float32: 2}
ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-3}


def run(parts: Parts) -> None:
    """Make a part for every registered model."""
    for name, entry in sorted(registry().models.items()):
        parts.make(name, partial(rows_of, parts, entry.load))


def rows_of(parts: Parts, load: Callable[[], Any]) -> Rows:
    """A row for each kind of events, at most three, and precision.

    Raises:
        RuntimeError: if anything but rounding differs.
    """
    rows: Rows = []
    tried: set[str] = set()
    for where, subject in subjects(load()).items():
        kind = where.split("-")[0]
        if kind in tried or len(tried) == (1 if parts.is_small else 3):
            continue
        try:
            model = subject.sharpened()
        except NotApplicableError:
            continue
        tried.add(kind)
        for dtype in (torch.float64, torch.float32):
            found = compare(model, subject.random_events(NUM_EVENTS, seed=3), parts.device, dtype)
            rows.append({"events": where, "dtype": str(dtype).removeprefix("torch."), **found})
    if not rows:
        raise RuntimeError("no tiny events suit it")
    wrong = [row for row in rows if row["fault"]]
    if wrong:
        raise RuntimeError(f"{wrong[0]['events']}, {wrong[0]['dtype']}: {wrong[0]['fault']}")
    return rows


@torch.no_grad()
def compare(
    model: Model | Flow, events: Tensor, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """How far a model's copy on the device is from the model, which is on the CPU, in float64."""
    # Both are rounded alike first: what remains is the device.
    here = copy.deepcopy(model).to(dtype)
    there = copy.deepcopy(model).to(dtype).to(device)
    expected, found = here.log_prob(events), there.log_prob(events).cpu()
    scale = expected.abs().clamp(min=1.0)
    row: dict[str, Any] = {
        "log_prob": ((found - expected).abs() / scale).max().item(),
        "samplers": {},
        "fault": "",
    }
    if not row["log_prob"] <= ROUNDING[dtype]:
        row["fault"] = f"log_prob differs by {row['log_prob']:.2g}"
    noise = here.draw_noise(NUM_EVENTS, torch.Generator().manual_seed(4))
    drawn = {
        method: there.sample(NUM_EVENTS, noise=noise, method=method) for method in there.samplers
    }
    if device.type == "cuda" and isinstance(there, Model) and "step" in there.samplers:
        from graphed import GraphedSampler, first_wait

        row["waits"] = first_wait(there, NUM_EVENTS)
        if row["waits"] == "none":
            drawn["step, graph"] = GraphedSampler(there, NUM_EVENTS)(noise)
    for method, samples in drawn.items():
        wanted = here.sample(NUM_EVENTS, noise=noise, method=method.split(",")[0]).double()
        allowed = ROUNDING[dtype] * (1 + wanted.abs()) if wanted.is_floating_point() else 0
        differs = ((samples.cpu().double() - wanted).abs() > allowed).flatten(1).any(1)
        row["samplers"][method] = strayed = int(differs.sum())
        if strayed > MOST_STRAYED[dtype]:
            row["fault"] = f"{strayed} of {NUM_EVENTS} samples by {method} differ"
    return row
