"""Results in the Hub's own formats: `.eval_results/*.yaml` of a model, `eval.yaml` of a board.

The Hub takes a board for a benchmark, and each task of a board for a task of that benchmark. Its
formats know no direction, and it puts the larger value first. So the value is the mean
log-likelihood in nats: larger is better, and the Hub's order is that of the board's own page.

Source: the Hub's documentation, https://huggingface.co/docs/hub/eval-results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
from huggingface_hub.constants import EVAL_RESULTS_FOLDER

from arbench.boards.published import nats_error_of, nats_of
from arbench.data.units import nats_per
from arbench.hub.repositories import Repo
from arbench.runs.record.record import Record
from arbench.show.escaping import printable
from arbench.show.wording import measured_text, with_error

BENCHMARK = "eval.yaml"


def task_id(record: Record) -> str:
    """What a result is compared with on the Hub, such as "mnist-static-v1-exact".

    Only results on the same version of a task, and of the same kind, can be compared.
    """
    version = re.sub(r"[^a-z0-9._]+", "-", record.task.version.lower())  # it is any line of text
    return f"{record.task.name}-v{version}-{record.splits['test'].kind}"


def eval_results(record: Record, board: Repo, source: str) -> dict[str, str]:
    """The file of a model repository with the result of a run, by its path.

    The path names the task, because an entry of the Hub's leaderboard names its file and no task.

    Args:
        record: with a test split.
        board: the benchmark: a dataset repository with an `eval.yaml`.
        source: where the record is on the web.
    """
    entry = EvalResultEntry(
        dataset_id=board.name,
        task_id=task_id(record),
        value=-nats_of(record),
        source_url=source,
        source_name="record of the run",
        notes=_notes(record),
    )
    text = _as_yaml(eval_result_entries_to_yaml([entry]))
    return {f"{EVAL_RESULTS_FOLDER}/{board.name.partition('/')[2]}-{task_id(record)}.yaml": text}


def _notes(record: Record) -> str:
    """The value in words, with its error, in bits/dim, and of which data it is."""
    test, per = record.splits["test"], nats_per(record.task.unit)
    nats = measured_text(nats_of(record), nats_error_of(record))
    parts = [f"log-likelihood in nats per {per}, larger is better: the negative of {nats}"]
    if test.bits_per_dim is not None:
        bits = with_error(test.bits_per_dim, test.standard_error_bits_per_dim, 4)
        parts.append(f"{bits} bits/{record.task.unit}")
    parts.append(f"{test.kind}, {test.num_events:,} test events, data {record.task.data_sha256}")
    return "; ".join(parts)


def benchmark_of(records: Iterable[Record]) -> str:
    """The `eval.yaml` of a board: one task for each version and kind that has a result."""
    ids = sorted({task_id(record) for record in records})
    return _as_yaml(
        {
            "name": "arbench",
            "description": "Exact test log-likelihood of autoregressive models, in nats per event, "
            "per symbol of a text or per step of music. Larger is better.",
            "evaluation_framework": "arbench",
            "tasks": [{"id": each, "config": "default", "split": "test"} for each in ids],
        }
    )


def _as_yaml(content: Mapping[str, Any] | list[dict[str, Any]]) -> str:
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return printable(text)
