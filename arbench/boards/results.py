"""Reads and keeps results: `leaderboards/records/`, and the user's runs (`--runs`).

<task>/<model>-<sha8>.json          the record
<task>/<model>-<sha8>.safetensors   log-probabilities of the test events, and other values
<task>/speed/<model>-<sha8>.*.json      what `arbench bench` measured on other machines
<task>/verified/<model>-<sha8>.json     what `arbench verify` found
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from arbench.boards.curves import board_curve
from arbench.boards.published import beside
from arbench.boards.speeds import SpeedReport
from arbench.errors import ArbenchError, CheckpointError, ConfigError, DataError
from arbench.files.atomic import sha256_of, write_text
from arbench.files.strict_json import read_json
from arbench.runs.folder import RunFolder
from arbench.runs.loading import check_bound
from arbench.runs.record.binding import unbound_note
from arbench.runs.record.plausibility import require_plausible
from arbench.runs.record.record import Record
from arbench.runs.record.values import read_log_probs, require_results
from arbench.runs.verification import verify_run
from arbench.runs.zoo import zoo_folder
from arbench.show.record_tables import likelihood_cells
from arbench.show.tables import Table, as_markdown
from arbench.show.wording import training_text

_SECTION = re.compile(r"<!-- results -->.*?<!-- /results -->", re.DOTALL)


@dataclass(frozen=True)
class Result:
    """One result and all that is known of it.

    Attributes:
        record: what was measured.
        log_probs: the file of its per-event log-probabilities, and of other values.
        speeds: of its samplers, by machine; what `arbench bench` measured comes first.
        status: "verified" if `arbench verify` has recomputed it from its weights, "local" if it is
            the user's own.
        verified: the keys of the other measurements that it has found again as well.
        folder: the run folder, for samples and curves; None where it is not at hand.
    """

    record: Record
    log_probs: Path
    speeds: tuple[SpeedReport, ...] = ()
    status: str = "self-reported"
    verified: frozenset[str] = frozenset()
    folder: Path | None = None


def kept_records() -> Path:
    """The folder of the results that come with arbench."""
    return Path(str(resources.files("arbench.leaderboards"))) / "records"


def keep_result(run: Path, records: Path) -> Path:
    """Copy what a board needs of a finished run: its record and the values of its events.

    Args:
        run: a run folder.
        records: the folder `leaderboards/records`.

    Returns:
        The kept record, `records/<task>/<model>-<sha8>.json`, named after the weights (of a foreign
        density, after its log-probabilities): the same model with another seed or size has a record
        of its own.

    Raises:
        ArbenchError: if the result may stand on no board; see `read_for_board`.
    """
    record = read_for_board(run)
    kept = _kept_path(record.task.name, record.model.name, record.result_sha256, records)
    kept.parent.mkdir(parents=True, exist_ok=True)
    record.write(kept)
    shutil.copyfile(RunFolder(run).per_event, kept.with_suffix(".safetensors"))
    return kept


def keep_speeds(report: Path, records: Path) -> Path:
    """Copy a report of `arbench bench` beside the result that it belongs to.

    Raises:
        ConfigError: if that result is not kept.
    """
    speeds = SpeedReport.read(report)
    kept = _kept_path(speeds.task, speeds.model, speeds.result_sha256, records)
    if not kept.exists():
        raise ConfigError(f"{report}: its result is not kept; keep the run first")
    copy = kept.parent / "speed" / f"{kept.stem}.{speeds.file_name}"
    copy.parent.mkdir(exist_ok=True)
    speeds.write(copy)
    return copy


def keep_verification(run: Path, records: Path, device: str = "auto") -> Path:
    """Verify a kept result from the weights in a run folder, and write down what was found.

    Raises:
        ConfigError: if the result is not kept as it is, or its weights are not there.
    """
    record = read_for_board(run)
    kept = _kept_path(record.task.name, record.model.name, record.result_sha256, records)
    if not kept.exists():
        raise ConfigError(f"{run}: its result is not kept; keep the run first")
    if _content(Record.read(kept)) != _content(record):
        raise ConfigError(f"{run}: another record of these weights is kept; keep the run again")
    found = verify_run(run, task_text=None, device=device, reporter=None)
    note = kept.parent / "verified" / kept.name
    note.parent.mkdir(exist_ok=True)
    about = {
        "record_sha256": sha256_of(kept),
        "log_probs_sha256": sha256_of(RunFolder(run).per_event),
        **found.to_json(),
    }
    write_text(note, json.dumps(about, indent=1) + "\n")
    return note


def _content(record: Record) -> dict[str, Any]:
    """A record but for its own hash, which changes where a later version has one field more."""
    return record.model_dump(exclude={"sha256": {"record"}})


def read_for_board(run: Path) -> Record:
    """The record of a run that may stand on a board.

    This checks every hash in it but that of the weights, which a board does not have.

    Raises:
        ConfigError: if it may not; says why.
        CheckpointError: if nothing binds it to the files beside it, or they are others.
        DataError: if its values are others, or it is better than the truth.
    """
    folder = RunFolder(run)
    record = Record.read(folder.record)
    if fault := board_fault(record):
        raise ConfigError(f"{run}: {fault}")
    if note := unbound_note(run, record.is_bound):
        raise CheckpointError(f"{note}, and then its number can stand on a board")
    if record.foreign is None and record.sha256.config is None:
        raise CheckpointError(
            f"{run}: its record names no configuration, so it is not from a run folder"
        )
    check_bound(run, record, ("config",))
    require_plausible(record, read_log_probs(record, folder.per_event).values, str(run))
    require_results(record, folder.per_event)
    return record


def board_fault(record: Record) -> str | None:
    """Why a record may stand on no board; None if it may.

    Its run is not finished, used a part of the data, or has no test number or one that is no
    likelihood; its task is the user's own or not pinned; it began from another run's weights, or
    nobody could say which result it is.
    """
    if record.status != "finished" or record.limit is not None:
        return "only finished runs on the whole data stand on boards"
    if "test" not in record.splits:
        return "its record has no test number"
    if fault := record.no_likelihood:
        return fault
    if not record.task.pinned:
        return f"{record.task.name} has no pinned data, so it is on no board"
    if record.training is not None and record.training.parent is not None:
        return "it began from other weights (--init), and nobody knows what those have seen"
    if record.result_sha256 is None:
        return "its record names no weights, so nobody can verify it"
    return None


def read_results(records: Path) -> list[Result]:
    """All kept results, by task, best first.

    Raises:
        ArbenchError: if one of them does not fit its own hashes, is better than the truth, or
            damaged.
    """
    return _in_order(_kept_result(path, reports) for path, reports in _kept_files(records))


def sort_results(records: Path) -> tuple[list[Result], list[str]]:
    """All kept results that are sound, best first, and what is wrong with each other one."""
    found, left_out = [], []
    for path, reports in _kept_files(records):
        try:
            found.append(_kept_result(path, reports))
        except (ArbenchError, OSError) as error:
            left_out.append(str(error))
    return _in_order(found), left_out


def read_runs(folder: Path) -> tuple[list[Result], list[str]]:
    """The results of the runs in a folder, at any depth, and what was left out, and why.

    That is each run that is no result, and the training curves that are damaged.

    Raises:
        ConfigError: if there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; --runs takes one that holds run folders")
    found, left_out = [], []
    for path in sorted(folder.rglob("record.json")):
        run = path.parent
        try:
            record = read_for_board(run)
            reports = [SpeedReport.read(file) for file in sorted(run.glob("speed-*.json"))]
        except (ArbenchError, OSError) as error:
            left_out.append(str(error))
            continue
        _, fault = board_curve(run, record)
        left_out += [fault] if fault else []
        found.append(
            Result(
                record=record,
                log_probs=RunFolder(run).per_event,
                speeds=_speeds_of(record, reports),
                status="local",
                folder=run,
            )
        )
    return _in_order(found), left_out


def find_results(runs: Path | None) -> tuple[list[Result], list[Result], list[str]]:
    """The kept results, those of the user's own runs, and which are none and why.

    Args:
        runs: a folder with runs of the user's own; None for none.

    Raises:
        ConfigError: if there is no such folder.
    """
    kept, damaged = sort_results(kept_records())
    local, left_out = ([], []) if runs is None else read_runs(runs)
    return kept, local, [*damaged, *left_out]


def join_runs(kept: Iterable[Result], local: Iterable[Result]) -> list[Result]:
    """Kept results and those of the user's own runs, each once.

    Where a kept one is among the user's own too, it has the speeds of the user's machines as well.
    """
    joined = {result.record.result_sha256: result for result in kept}
    others = []
    for result in local:
        own = joined.get(result.record.result_sha256)
        if own is None:
            others.append(result)
            continue
        known = {report.machine for report in own.speeds}
        more = tuple(report for report in result.speeds if report.machine not in known)
        joined[result.record.result_sha256] = replace(own, speeds=(*own.speeds, *more))
    return _in_order([*joined.values(), *others])


def _kept_path(task: str, model: str, result_sha256: str | None, records: Path) -> Path:
    assert result_sha256 is not None  # see `read_for_board`
    return records / task / f"{model}-{result_sha256[:8]}.json"


def _kept_files(records: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each kept record, with the reports of its speed."""
    for folder in sorted(folder for folder in records.glob("*") if folder.is_dir()):
        reports: dict[str, list[Path]] = {}
        for file in sorted((folder / "speed").glob("*.speed-*.json")):
            reports.setdefault(file.name.rpartition(".speed-")[0], []).append(file)
        for path in sorted(folder.glob("*.json")):
            yield path, reports.get(path.stem, [])


def _kept_result(path: Path, files: Iterable[Path]) -> Result:
    record = Record.read(path)
    log_probs = path.with_suffix(".safetensors")
    require_plausible(record, read_log_probs(record, log_probs).values, str(path))
    require_results(record, log_probs)
    reports = [SpeedReport.read(file) for file in files]
    verified = _verified(path)
    return Result(
        record=record,
        log_probs=log_probs,
        speeds=_speeds_of(record, [r for r in reports if r.result_sha256 == record.result_sha256]),
        status="self-reported" if verified is None else "verified",
        verified=verified or frozenset(),
        folder=_zoo_run(record),
    )


def _speeds_of(record: Record, reports: list[SpeedReport]) -> tuple[SpeedReport, ...]:
    return (*reports, *SpeedReport.of_record(record))


def _verified(path: Path) -> frozenset[str] | None:
    """The other measurements that `keep_verification` has found again; None if the record fails.

    It is None, too, if nobody has verified this very record.
    """
    note = path.parent / "verified" / path.name
    if not note.exists():
        return None
    found = read_json(note, DataError, "no note there")
    if not (
        isinstance(found, dict)
        and found.get("holds") is True
        and found.get("record_sha256") == sha256_of(path)
        and found.get("log_probs_sha256") == sha256_of(path.with_suffix(".safetensors"))
    ):
        return None
    results = found.get("results", [])
    return frozenset(result["key"] for result in results if result["holds"] is True)


def _zoo_run(record: Record) -> Path | None:
    """The zoo's folder of a result, if it ships with the package."""
    folder = RunFolder(zoo_folder() / record.task.name / record.model.name)
    if not folder.record.exists():
        return None
    same = Record.read(folder.record).result_sha256 == record.result_sha256
    return folder.path if same else None


def _in_order(results: Iterable[Result]) -> list[Result]:
    def key(result: Result) -> tuple[str, float]:
        test = result.record.splits["test"]
        return result.record.task.name, test.total_nats / test.num_dims

    return sorted(results, key=key)


def results_table(results: Iterable[Result]) -> str:
    """Results as a Markdown table, beside what papers report for the model of the same name."""
    rows = [_row(result.record) for result in results]
    if not rows:
        return "No results are kept yet."
    headers = ("task", "model", "test nats", "bits/dim", "published", "parameters", "training")
    return as_markdown(Table("", (*headers, "samples/s"), rows))


def _row(record: Record) -> tuple[str, ...]:
    test = record.splits["test"].model_dump(mode="json")
    nats, bits, _, kind = likelihood_cells(test, record.task.unit, digits=2)
    parameters = record.model.num_parameters
    speed = max(record.speeds, key=lambda row: row.events_per_s, default=None)
    return (
        record.task.name,
        record.model.name + (f" (self-reported {kind})" if record.foreign else ""),
        nats,
        bits.partition(" ")[0],
        _published(record),
        "-" if parameters is None else f"{parameters:,}",
        "-" if record.training is None else training_text(record.training.seconds),
        "-"
        if speed is None
        else f"{speed.events_per_s:,.0f} ({speed.method}, batch {speed.batch_size})",
    )


def fill_section(page: str, table: str) -> str:
    """A page with the part between its results markers replaced; unchanged where it has none."""
    return _SECTION.sub(lambda _: f"<!-- results -->\n\n{table}\n\n<!-- /results -->", page)


def _published(record: Record) -> str:
    """Published test nats of the same model, lowest and highest; a question mark: not checked."""
    rows = [(nats, row) for nats, row in beside(record) if row.our_model == record.model.name]
    rows = [(nats, row) for nats, row in rows if row.checked] or rows
    if not rows:
        return "-"
    low, high = rows[0][0], rows[-1][0]
    mark = "" if rows[0][1].checked else "?"
    return f"{low:.2f}{mark}" if low == high else f"{low:.2f} to {high:.2f}{mark}"
