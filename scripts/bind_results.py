"""Write every kept record and every zoo entry anew in the newest format, bound to its files.

    python scripts/bind_results.py
    python scripts/index_zoo.py
    python scripts/keep_results.py

A record gets the sha256 of its log-probabilities and, where the zoo holds the run, that of its
configuration; of the others nobody has the run folder at hand, so theirs names none. Weights and
log-probabilities stay as they are. A zoo entry holds the very record that is kept.

A note that `arbench verify` held for a record is carried over to the new one, if all that it rests
on is provably the same: weights and log-probabilities by their sha256, and every value of the
record but those in `RENEWED`. It then names the record that was verified, too. Any other note is
removed: `keep_results.py RUN` verifies again.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from arbench.errors import ArbenchError, CheckpointError
from arbench.experiment.files import sha256_of, write_text
from arbench.experiment.folders import RunFolder
from arbench.experiment.loading import check_bound
from arbench.experiment.records import HashesRecord, Record

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "leaderboards" / "records"
ZOO = ROOT / "zoo"
# What a newer format says of the same measurement: hashes, and errors made of the same values.
RENEWED = {"schema_version", "sha256", "checks"}
RENEWED_OF_A_PART = {
    "task": {"groups"},
    "training": {"recipe_sha256"},
    "validation": {"num_groups", "block"},
    "test": {"num_groups", "block", "standard_error_nats", "standard_error_bits_per_dim"},
}


def renew(path: Path) -> Record:
    """Write a kept record anew and carry its note over; see the module."""
    old, verified_sha256 = Record.read(path), sha256_of(path)
    run = _zoo_run(old)
    hashes = HashesRecord(
        config=sha256_of(run.config) if run else old.sha256.config,
        weights=old.sha256.weights,
        per_event=sha256_of(path.with_suffix(".safetensors")),
    )
    if run is not None:
        check_bound(run.path, old, ("weights",))
    if old.foreign is None and old.sha256.per_event not in (None, hashes.per_event):
        raise CheckpointError(f"{path}: its log-probabilities are not those that it names")
    new = old.model_copy(update={"sha256": hashes}).sealed()
    if new == old:
        return old
    new.write(path)
    _carry(path, verified_sha256, old, new)
    if run is not None:
        shutil.copyfile(path, run.record)
    return new


def _zoo_run(record: Record) -> RunFolder | None:
    run = RunFolder(ZOO / record.task.name / record.model.name)
    if not run.record.exists():
        return None
    return run if Record.read(run.record).result_sha256 == record.result_sha256 else None


def _carry(path: Path, verified_sha256: str, old: Record, new: Record) -> None:
    """Let a note of the old record be one of the new, or remove it."""
    file = path.parent / "verified" / path.name
    if not file.exists():
        return
    note = json.loads(file.read_text())
    if (
        note["record_sha256"] != verified_sha256
        or note["log_probs_sha256"] != new.sha256.per_event
        or old.sha256.weights != new.sha256.weights
        or _lasting(old) != _lasting(new)
    ):
        file.unlink()
        print(f"{file.relative_to(ROOT)}: removed, for it is of another record")
        return
    first = note.get("verified_record_sha256", verified_sha256)
    note |= {"record_sha256": sha256_of(path), "verified_record_sha256": first}
    write_text(file, json.dumps(note, indent=1) + "\n")


def _lasting(record: Record) -> dict[str, Any]:
    """All that a record says but what a newer format says otherwise of the same measurement."""
    raw = {k: v for k, v in record.model_dump(mode="json").items() if k not in RENEWED}
    for name, renewed in RENEWED_OF_A_PART.items():
        home = raw["nll"] if name in raw["nll"] else raw
        if home.get(name) is not None:
            home[name] = {k: v for k, v in home[name].items() if k not in renewed}
    return raw


def main() -> None:
    """See the module."""
    paths = sorted(RECORDS.glob("*/*.json"))
    bound = [renew(path) for path in paths]
    with_config = sum(record.sha256.config is not None for record in bound)
    print(f"{len(bound)} kept records are bound, {with_config} of them to a configuration")
    for file in sorted(ZOO.glob("*/*/record.json")):
        check_bound(file.parent, Record.read(file))


if __name__ == "__main__":
    try:
        main()
    except ArbenchError as error:
        sys.exit(f"bind_results: {error}")
