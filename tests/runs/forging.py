"""A run folder after somebody changed it on purpose: every hash fits again.

The hashes of a record detect edits; that everything else is still seen behind them is tested here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arbench.files.atomic import sha256_of
from arbench.files.canonical import sealed
from arbench.runs.record.binding import per_event_name
from arbench.runs.record.versions import upgraded

FILES = {
    "config": "config.json",
    "weights": "model.safetensors",
    "metrics": "metrics.jsonl",
}


def forge(run: Path, change: Callable[[dict[str, Any]], object] = lambda record: None) -> Path:
    """Change the record of a run, and bind it to the files that lie beside it now."""
    raw = upgraded(json.loads((run / "record.json").read_text()))
    hashes = {
        name: sha256_of(run / file) if (run / file).exists() else None
        for name, file in (FILES | {"per_event": per_event_name(run)}).items()
    }
    raw["sha256"] = hashes
    change(raw)
    (run / "record.json").write_text(json.dumps(sealed(raw)))
    return run


def in_format_1(run: Path) -> Path:
    """A run as an older arbench left it: nothing is bound but the weights."""
    raw = json.loads((run / "record.json").read_text())
    raw["schema_version"] = 1
    raw["checkpoint"] = {"sha256": raw.pop("sha256")["weights"]}
    for part, names in (("task", ["groups"]), ("training", ["recipe_sha256"])):
        for name in names:
            raw[part].pop(name)
    measured = raw.pop("measurements")
    raw["nll"] = {name: measured["likelihood"][name] for name in ("validation", "test")}
    raw["evaluation"] = measured["likelihood"]["windows"]
    raw["sampling"] = measured["speed"]["rows"]
    raw["truth"] = None
    if "truth" in measured:
        numbers = ("true_nats_per_event", "gap_nats_per_event", "standard_error_nats")
        raw["truth"] = {name: measured["truth"][name] for name in numbers}
    for split in raw["nll"].values():
        del split["num_groups"], split["block"]
    del raw["checks"]
    (run / "record.json").write_text(json.dumps(raw))
    return run
