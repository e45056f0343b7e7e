"""A run's numbers in the format of Every Eval Ever: one JSON file, named after its content.

Source: `eval.schema.json`, version 0.3.0, https://github.com/evaleval/every_eval_ever.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from arbench.boards.published import nats_error_of
from arbench.data.units import dims_in, nats_per
from arbench.errors import ConfigError
from arbench.files.atomic import make_folder, write_text
from arbench.hub.finding import HUB_PREFIX
from arbench.measure.result_sections import ResultSection
from arbench.runs.folder import RECORD
from arbench.runs.loading import check_bound
from arbench.runs.record.record import Record

SCHEMA = "0.3.0"
UNKNOWN = "unknown"
_Metric = tuple[str, str, Literal["lower", "higher"]]  # its name, unit and better direction
_ADDRESS = re.compile(r"https?://[^\s,;]+")


def export_results(
    path: Path, out: Path, *, name: str | None = None, organisation: str = UNKNOWN
) -> Path:
    """The file with the results of a run, `data/arbench/DEVELOPER/MODEL/UUID.json` below `out`.

    Args:
        path: the run folder.
        out: the folder that mirrors the datastore of Every Eval Ever.
        name: how users named the run, such as "hf:org/name"; None if by its folder.
        organisation: who provides the numbers.

    Raises:
        ConfigError: if the record has no number that the format can hold.
        DataError: if there is no record.
        CheckpointError: if the files of the run are not those of its record.
    """
    record = Record.read(path / RECORD)
    check_bound(path, record)
    if fault := record.no_likelihood:
        raise ConfigError(f"{path}: {fault}")
    when = str(int((path / RECORD).stat().st_mtime))
    document = document_of(record, when, name=name, organisation=organisation)
    if not document["evaluation_results"]:
        raise ConfigError(f"{path}: its record has no number; only a finished run has some")
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    # Named after its content: the same run exported twice is one file.
    digest = hashlib.sha256(text.encode()).digest()[:16]
    model: str = document["model_info"]["id"]
    file = out / "data" / "arbench" / model / f"{uuid.UUID(bytes=digest, version=4)}.json"
    make_folder(file.parent)
    write_text(file, text)
    return file


def document_of(
    record: Record, when: str, *, name: str | None = None, organisation: str = UNKNOWN
) -> dict[str, Any]:
    """What the file says.

    Args:
        record: of the run.
        when: the record was made, in seconds since 1970.
        name: how users named the run, such as "hf:org/name"; None if by its folder.
        organisation: who provides the numbers.
    """
    model_id = _model_id(record, name)
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{record.task.name}/{model_id}/{when}",
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": "arbench",
            "source_type": "evaluation_run",
            "source_organization_name": organisation,
            "evaluator_relationship": "first_party" if record.foreign is None else "third_party",
        },
        "eval_library": {"name": "arbench", "version": record.environment.arbench},
        "model_info": {
            "name": record.model.name,
            "id": model_id,
            "developer": model_id.partition("/")[0],
            "inference_engine": {"name": "torch", "version": record.environment.torch},
            "additional_details": _model_details(record, name),
        },
        "evaluation_results": [*_results(record)],
    }


def _model_id(record: Record, name: str | None) -> str:
    """The repository on the Hub; else who wrote the model, with its task and its name."""
    if name is not None and name.startswith(HUB_PREFIX):
        return name.removeprefix(HUB_PREFIX).partition("@")[0]
    developer = re.sub(r"[^A-Za-z0-9._-]+", "-", record.model.plugin).strip("-.") or UNKNOWN
    return f"{developer}/{record.task.name}-{record.model.name}"


def _model_details(record: Record, name: str | None) -> dict[str, str]:
    """What else is known of the model. The format wants text for every value."""
    model, training = record.model, record.training
    is_open = name is not None and (name.startswith(HUB_PREFIX) or not Path(name).exists())
    details: dict[str, Any] = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights" if is_open else UNKNOWN,
        "num_parameters": model.num_parameters,
        "hyperparameters": model.hyperparameters,
        "head": model.head,
        "layout": model.layout,
        "weights_sha256": record.sha256.weights,
        "record_sha256": record.sha256.record,
    }
    if training is not None:
        details |= {"recipe": training.recipe, "recipe_sha256": training.recipe_sha256}
        details |= {"seed": training.seed, "training_seconds": training.seconds}
    return {key: _text(value) for key, value in details.items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _results(record: Record) -> Iterator[dict[str, Any]]:
    """Every number of a record that has a direction, the likelihood first."""
    per = nats_per(record.task.unit)
    about: dict[str, Any]
    metric: _Metric
    for name, split in record.splits.items():
        about = {"split": name, "kind": split.kind, "num_dims": split.num_dims}
        lowest = 0.0 if split.kind == "exact" else "-Infinity"  # a density may be above one
        count = split.num_groups or split.num_events
        of_event = per == "event"
        mean = split.nats_per_event if of_event else split.total_nats / split.num_dims
        nats = mean * (1 if of_event else dims_in(per)), nats_error_of(record, name)
        metric = ("negative_log_likelihood", f"nats/{per}", "lower")
        yield _result(record, f"likelihood/{name}/nats", metric, nats, about, lowest, count)
        if split.bits_per_dim is not None:
            bits = split.bits_per_dim, split.standard_error_bits_per_dim
            metric = ("bits_per_dim", f"bits/{record.task.unit}", "lower")
            yield _result(record, f"likelihood/{name}/bits", metric, bits, about, lowest, count)
    if (truth := record.truth) is not None:
        gap = truth.gap_nats_per_event, truth.standard_error_nats
        yield _result(record, "truth", ("gap_to_the_true_density", "nats/event", "lower"), gap, {})
    for row in record.speeds:
        about = row.model_dump(exclude={"events_per_s"})
        key = f"speed/{row.device}/{row.method}/{row.batch_size}"
        metric = ("samples_per_second", "samples/s", "higher")
        yield _result(record, key, metric, (row.events_per_s, None), about, 0.0)
    for key, section in record.measurements.items():
        if not isinstance(section, ResultSection):
            continue
        about = {"version": section.version, "settings": section.settings, "seed": section.seed}
        for number in section.rows:
            if number.better is None:  # the format has no number without a direction
                continue
            where = f"{key}/{number.case}" if number.case else key
            metric = (where, number.unit, number.better)
            value = number.value, number.error
            yield _result(record, where, metric, value, about, count=section.num_groups)


def _result(
    record: Record,
    key: str,
    metric: _Metric,
    value: tuple[float, float | None],
    about: dict[str, Any],
    lowest: float | str = "-Infinity",
    count: int | None = None,
) -> dict[str, Any]:
    """One number in the format.

    Args:
        record: of the run.
        key: what tells it from other numbers of the run.
        metric: its name, unit and better direction.
        value: the number and its standard error.
        about: how it was made.
        lowest: that the number can be.
        count: how many independent things its error is over.
    """
    name, unit, better = metric
    score: dict[str, Any] = {"score": value[0]}
    if value[1] is not None:
        score["uncertainty"] = {"standard_error": {"value": value[1]}}
        score["uncertainty"] |= {} if count is None else {"num_samples": count}
    score["details"] = {each: _text(said) for each, said in about.items() if said is not None}
    task = record.task
    source: dict[str, Any] = {"dataset_name": task.name, "source_type": "other"}
    if addresses := _ADDRESS.findall(task.source):
        source |= {"source_type": "url", "url": addresses}
    data = {"version": task.version, "sha256": task.data_sha256, "source": task.source}
    return {
        "evaluation_result_id": f"{task.name}/{key}",
        "evaluation_name": task.name,
        "source_data": source | {"additional_details": data},
        "metric_config": {
            "metric_id": name,
            "metric_name": name.replace("_", " "),
            "metric_unit": unit,
            "lower_is_better": better == "lower",
            "score_type": "continuous",
            "min_score": lowest,
            "max_score": "Infinity",
        },
        "score_details": score,
    }
