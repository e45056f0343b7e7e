"""Results to make boards of: those that are kept, and others of given log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from arbench.boards.results import Result, kept_records, read_results
from arbench.boards.speeds import SpeedReport
from arbench.measure.speed import SpeedRecord
from arbench.runs.record.record import Record

KEPT = read_results(kept_records())
BASE = next(
    r.record for r in KEPT if (r.record.task.name, r.record.model.name) == ("mnist", "nade")
)
# What else was measured of it has values of its own, and those made here have none.
BASE = BASE.model_copy(
    update={
        "measurements": {k: v for k, v in BASE.measurements.items() if k in ("likelihood", "speed")}
    }
)
MakeResult = Callable[..., Result]


def with_likelihood(record: Record, **parts: object) -> Record:
    """A record with another likelihood; what is not named is none."""
    assert record.likelihood is not None
    none = {"validation": None, "windows": None}
    return record.with_sections(likelihood=record.likelihood.model_copy(update=none | parts))


UNTIMED = SpeedRecord(
    method="step",
    batch_size=1,
    device="cpu",
    precision="float32",
    compiled=False,
    repeats=1,
    median_s=1.0,
    iqr_s=0.0,
    events_per_s=1.0,
    extrapolated=False,
)


def untimed(*arguments: object, **options: object) -> list[SpeedRecord]:
    """What stands in for a measurement of speed, since a clock is never twice the same."""
    return [UNTIMED]


def noise(seed: int, size: int = 400) -> Tensor:
    """Standard normal numbers `(size,)`, float64."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def maker(folder: Path) -> MakeResult:
    """A maker of results on a task of its own from per-event log-probabilities `(N,)`."""

    def make(
        name: str, log_probs: Tensor, *, task: str = "somewhere", kind: str = "exact", dims: int = 4
    ) -> Result:
        assert BASE.training is not None
        file = folder / f"{name}.safetensors"
        save_file({"test": log_probs.double()}, file)
        nats = -log_probs.double()
        mean = nats.mean().item()
        error = nats.std().item() / math.sqrt(len(nats))
        test = BASE.splits["test"].model_copy(
            update={
                "total_nats": nats.sum().item(),
                "num_events": len(nats),
                "num_dims": dims * len(nats),
                "nats_per_event": mean,
                "bits_per_dim": None if kind == "density" else mean / dims / math.log(2),
                "standard_error_nats": error,
                "standard_error_bits_per_dim": error / dims / math.log(2),
                "kind": kind,
            }
        )
        record = BASE.model_copy(
            update={
                "task": BASE.task.model_copy(update={"name": task, "num_dims": dims}),
                "model": BASE.model.model_copy(update={"name": name}),
                "training": BASE.training.model_copy(update={"recipe_sha256": None}),
            }
        )
        record = with_likelihood(record, test=test)
        return Result(record, file, SpeedReport.of_record(record))

    return make
