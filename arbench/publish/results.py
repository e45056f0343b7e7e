"""Kept results: records and per-event log-probabilities of runs, under `leaderboards/records/`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from tabulate import tabulate

from arbench.errors import ConfigError
from arbench.experiment.folders import RunFolder
from arbench.experiment.records import Record
from arbench.publish.published import published_results

_SECTION = re.compile(r"<!-- results -->.*?<!-- /results -->", re.DOTALL)


def keep_result(run: Path, records: Path) -> Path:
    """Copy what a board needs of a finished run: its record and its per-event log-probabilities.

    Args:
        run: a run folder.
        records: the folder `leaderboards/records`.

    Returns:
        The kept record, `records/<task>/<model>-<sha8>.json`, named after the weights (of a foreign
        density, after its log-probabilities): the same model with another seed or size has a record
        of its own.

    Raises:
        ConfigError: if the run is not finished, used a part of the data, or its task is the
            user's own or not pinned: such a number stands on no board.
    """
    folder = RunFolder(run)
    record = Record.read(folder.record)
    if record.status != "finished" or record.limit is not None:
        raise ConfigError(f"{run}: only finished runs on the whole data are kept")
    if not record.task.pinned:
        raise ConfigError(f"{run}: {record.task.name} has no pinned data, so it is on no board")
    if record.result_sha256 is None:
        raise ConfigError(f"{run}: its record names no weights, so nobody can verify it")
    home = records / record.task.name
    home.mkdir(parents=True, exist_ok=True)
    kept = home / f"{record.model.name}-{record.result_sha256[:8]}.json"
    record.write(kept)
    shutil.copyfile(folder.log_probs, kept.with_suffix(".safetensors"))
    return kept


def read_results(records: Path) -> list[Record]:
    """All kept records, by task, best first."""
    found = [Record.read(path) for path in sorted(records.glob("*/*.json"))]
    return sorted(found, key=lambda r: (r.task.name, r.nll["test"].nats_per_event))


def results_table(results: Iterable[Record]) -> str:
    """Results as a Markdown table, beside what papers report for the model of the same name."""
    rows = []
    for record in results:
        test = record.nll["test"]
        rows.append(
            (
                record.task.name,
                record.model.name + (f" (self-reported {test.kind})" if record.foreign else ""),
                f"{test.nats_per_event:.2f} ± {test.standard_error_nats:.2f}",
                test.bits_text.partition(" ")[0],
                _published(record),
                "-" if record.model.num_parameters is None else f"{record.model.num_parameters:,}",
                "-" if record.training is None else _duration(record.training.seconds),
                _speed(record),
            )
        )
    if not rows:
        return "No results are kept yet."
    headers = ("task", "model", "test nats", "bits/dim", "published", "parameters", "training")
    return tabulate(rows, (*headers, "samples/s"), tablefmt="github", disable_numparse=True)


def fill_section(page: str, table: str) -> str:
    """A page with the part between its results markers replaced; unchanged where it has none."""
    return _SECTION.sub(lambda _: f"<!-- results -->\n\n{table}\n\n<!-- /results -->", page)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _published(record: Record) -> str:
    """Published test nats of the same model, lowest and highest; a question mark: not checked."""
    results = [
        r
        for r in published_results(record.task.name)
        if r.our_model == record.model.name and r.unit == "nats"
    ]
    results = [r for r in results if r.checked] or results
    if not results:
        return "-"
    low, high = results[0].value, results[-1].value
    mark = "" if results[0].checked else "?"
    return f"{low:.2f}{mark}" if low == high else f"{low:.2f} to {high:.2f}{mark}"


def _speed(record: Record) -> str:
    best = max(record.sampling, key=lambda row: row.events_per_s)
    return f"{best.events_per_s:,.0f} ({best.method}, batch {best.batch_size})"
