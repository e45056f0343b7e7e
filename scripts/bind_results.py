"""Write every kept record and every zoo entry anew in the newest format, bound to its files.

    python scripts/bind_results.py
    python scripts/index_zoo.py
    python scripts/keep_results.py

A record gets the standard errors of its test number over what is independent, made of its
log-probabilities; of the validation number too where the zoo holds the run, which is evaluated
again for it (of the others the old error stays, with `num_groups` null). Where the zoo holds the
run it gets the checks of the trained model, too. Then it gets the sha256 of its log-probabilities
and, where the zoo holds the run, of its configuration, its metrics and its recipe; of the others
nobody has the run folder at hand, so theirs names none. Weights and log-probabilities
stay as they are, but that the groups of the events are put beside them where the task has groups:
that takes the task's data. A zoo entry holds the very record that is kept.

A note that `arbench verify` held for a record is carried over to the new one, if all that it rests
on is provably the same: weights and log-probabilities by their sha256, and every value of the
record but those in `RENEWED`. It then names the record that was verified, too. Any other note is
removed: `keep_results.py RUN` verifies again.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbench import evaluate
from arbench.boards.published import nats_error_of
from arbench.data.dataset import Dataset
from arbench.data.tasks import open_task
from arbench.errors import ArbenchError, CheckpointError
from arbench.files.atomic import sha256_of, write_text
from arbench.measure.log_probs import LogProbs
from arbench.measure.statistics.metrics import ROUNDING_SHARE
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import check_bound, load_run
from arbench.runs.record.record import HashesRecord, Record
from arbench.runs.record.renewal import with_errors
from arbench.runs.request import reopen
from arbench.runs.trained_checks import check_trained
from arbench.show.reporting import Reporter
from arbench.show.units import nats_per

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "leaderboards" / "records"
ZOO = ROOT / "zoo"
ERRORS = ("standard_error_nats", "standard_error_bits_per_dim")
# What a newer format says of the same measurement: hashes, and errors made of the same values.
RENEWED = {"schema_version", "sha256", "checks"}
RENEWED_OF_A_PART = {
    "task": {"groups"},
    "training": {"recipe_sha256"},
    "validation": {"num_groups", "block", *ERRORS},
    "test": {"num_groups", "block", *ERRORS},
}


def renew(path: Path) -> Record:
    """Write a kept record anew and carry its note over; see the module."""
    old, log_probs = Record.read(path), path.with_suffix(".safetensors")
    verified = Verified(sha256_of(path), sha256_of(log_probs))
    run = _zoo_run(old)
    if old.foreign is None and old.sha256.per_event not in (None, verified.log_probs):
        raise CheckpointError(f"{path}: its log-probabilities are not those that it names")
    if run is not None:
        check_bound(run.path, old, ("weights",))
    new = _with_errors(old, log_probs)
    if run is not None:
        new = _with_recipe(_with_validation_errors(new, run), run)
        new = _with_checks(new, run)
    hashes = HashesRecord(
        config=sha256_of(run.config) if run else old.sha256.config,
        weights=old.sha256.weights,
        metrics=sha256_of(run.metrics) if run else old.sha256.metrics,
        per_event=sha256_of(log_probs),
    )
    new = new.model_copy(update={"sha256": hashes}).sealed()
    if new == old:
        return old
    new.write(path)
    _tell(old, new)
    _carry(path, verified, old, new)
    if run is not None:
        shutil.copyfile(path, run.record)
        shutil.copyfile(log_probs, run.log_probs)
    return new


@dataclass(frozen=True)
class Verified:
    """The sha256 of the files that a note has to be of, to be carried over."""

    record: str
    log_probs: str


def _with_errors(record: Record, log_probs: Path) -> Record:
    """The record with the errors of its test number; groups are put beside its values."""
    kept, task = LogProbs.load(log_probs), open_task(record.task.name)
    if task.needs_windows:
        return with_errors(record, kept, None, "block")
    if task.group == "event":
        return with_errors(record, kept, None, task.group)
    split = Dataset(task).split("test")
    if kept.groups is None:
        LogProbs(kept.values, split.groups).save(log_probs)
        kept = LogProbs.load(log_probs)
    return with_errors(record, kept, split, task.group)


def _with_validation_errors(record: Record, run: RunFolder) -> Record:
    """The record with the errors of its validation number, from the weights.

    Its number stays; where events are independent the errors do too, and nothing is computed.
    """
    old = record.nll.get("validation")
    if old is None or old.num_groups is not None:
        return record
    if record.task.groups == "event":
        new = old.model_copy(update={"num_groups": old.num_events})
    else:
        print(f"evaluating {run.path.relative_to(ROOT)} on validation")
        found = evaluate(run.path, split="validation", device="cpu")
        if not math.isclose(found.total_nats, old.total_nats, rel_tol=ROUNDING_SHARE):
            raise CheckpointError(f"{run.path}: validation has {found.total_nats} nats now")
        fields = ("num_groups", "block", *ERRORS)
        new = old.model_copy(update={name: getattr(found, name) for name in fields})
    return record.model_copy(update={"nll": record.nll | {"validation": new}})


def _with_recipe(record: Record, run: RunFolder) -> Record:
    recipe = RunConfig.read(run.config).recipe_sha256
    assert record.training is not None  # the zoo holds runs
    training = record.training.model_copy(update={"recipe_sha256": recipe})
    return record.model_copy(update={"training": training})


def _with_checks(record: Record, run: RunFolder) -> Record:
    """The record with the checks of the trained model, if it has none."""
    if record.checks is not None:
        return record
    print(f"checking {run.path.relative_to(ROOT)}")
    config = RunConfig.read(run.config)
    events = reopen(config).split("validation").events
    checks = check_trained(load_run(run.path), config, events, Reporter())
    return record.model_copy(update={"checks": checks})


def _tell(old: Record, new: Record) -> None:
    """Say which errors are others now, in the units that boards show."""
    for split in new.nll:
        was, now = nats_error_of(old, split), nats_error_of(new, split)
        if was is None or now is None or math.isclose(was, now, rel_tol=1e-6):
            continue
        per = nats_per(new.task.unit)
        print(
            f"{new.task.name} {new.model.name} {(new.result_sha256 or '')[:8]}, {split}: error "
            f"{was:.4f} -> {now:.4f} nats/{per}, bits "
            f"{old.nll[split].standard_error_bits_per_dim:.4f} -> "
            f"{new.nll[split].standard_error_bits_per_dim:.4f}"
        )


def _zoo_run(record: Record) -> RunFolder | None:
    run = RunFolder(ZOO / record.task.name / record.model.name)
    if not run.record.exists():
        return None
    return run if Record.read(run.record).result_sha256 == record.result_sha256 else None


def _carry(path: Path, verified: Verified, old: Record, new: Record) -> None:
    """Let a note of the old record be one of the new, or remove it."""
    file = path.parent / "verified" / path.name
    if not file.exists():
        return
    note = json.loads(file.read_text())
    if (
        note["record_sha256"] != verified.record
        or note["log_probs_sha256"] != verified.log_probs
        or old.sha256.weights != new.sha256.weights
        or _lasting(old) != _lasting(new)
    ):
        file.unlink()
        print(f"{file.relative_to(ROOT)}: removed, for it is of another record")
        return
    first = note.get("verified_record_sha256", verified.record)
    note |= {"record_sha256": sha256_of(path), "verified_record_sha256": first}
    if verified.log_probs != new.sha256.per_event:  # groups have been put beside the same values
        first = note.get("verified_log_probs_sha256", verified.log_probs)
        note |= {"log_probs_sha256": new.sha256.per_event, "verified_log_probs_sha256": first}
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
