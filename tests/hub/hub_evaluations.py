"""What the Hub makes of `eval.yaml` and `.eval_results/*.yaml`: it checks, collects and ranks them.

As its documentation has it: docs/hub/eval-results.md and docs/hub/leaderboard-data-guide.md of
https://github.com/huggingface/hub-docs. The larger value comes first; nothing says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

_ENTRY = {"dataset", "value", "verifyToken", "date", "source", "evaluation_framework", "notes"}


def fault_of(kinds: str, files: Mapping[str, bytes]) -> str | None:
    """Why the Hub refuses such a repository; None if it does not."""
    if kinds == "datasets" and "eval.yaml" in files:
        benchmark = yaml.safe_load(files["eval.yaml"])
        ids = [task["id"] for task in benchmark["tasks"]]
        if not {"name", "description", "evaluation_framework", "tasks"} <= {*benchmark}:
            return "eval.yaml: a field is missing"
        if len({*ids}) != len(ids) or not all(isinstance(each, str) for each in ids):
            return "eval.yaml: tasks need an id each"
    for path, text in _evaluated(files) if kinds == "models" else ():
        for entry in yaml.safe_load(text):
            known = {*entry} <= _ENTRY and {"id", "task_id"} <= {*entry["dataset"]}
            number = entry.get("value")
            if not known or not isinstance(number, float | int) or not math.isfinite(number):
                return f"{path}: no evaluation result"
            if "source" in entry and "url" not in entry["source"]:
                return f"{path}: a source needs a url"
    return None


def results_of(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """What `expand=evalResults` answers for a model."""
    return [
        {"filename": path, "data": entry}
        for path, text in _evaluated(files)
        for entry in yaml.safe_load(text)
    ]


def leaderboard(
    board: str, models: Mapping[str, Mapping[str, bytes]], *, with_parents: bool
) -> list[dict[str, Any]]:
    """The entries of a benchmark, each task's from the largest value to the smallest."""
    found = []
    for model, files in models.items():
        card = yaml.safe_load(files.get("README.md", b"---\n{}\n---\n").split(b"---\n")[1]) or {}
        if "base_model" in card and not with_parents:
            continue
        found += [(r["data"], r["filename"], model) for r in results_of(files)]
    found = [each for each in found if each[0]["dataset"]["id"] == board]
    found.sort(key=lambda each: (each[0]["dataset"]["task_id"], -each[0]["value"]))
    ranks: dict[str, int] = {}
    entries = []
    for entry, filename, model in found:
        task = entry["dataset"]["task_id"]
        ranks[task] = ranks.get(task, 0) + 1
        about = {"name": model.partition("/")[0], "type": "org", "fullname": "", "avatarUrl": ""}
        entries.append(
            {
                "rank": ranks[task],
                "modelId": model,
                "value": entry["value"],
                "filename": filename,
                "verified": False,
                "source": entry.get("source"),
                "author": about,
                "notes": entry.get("notes"),
            }
        )
    return entries


def _evaluated(files: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    return [
        (path, text)
        for path, text in files.items()
        if path.startswith(".eval_results/") and path.endswith(".yaml")
    ]
