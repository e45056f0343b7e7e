"""`arbench list runs`: the runs in a folder, the seeds of a recipe in one row."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from arbench.data.padding import no_likelihood
from arbench.data.units import dims_in, nats_per
from arbench.errors import CheckpointError, ConfigError
from arbench.files.strict_json import read_json
from arbench.runs.record.difference import name_of_seeds, settings_that_differ
from arbench.runs.record.versions import upgraded
from arbench.show.escaping import one_line
from arbench.show.record_tables import likelihood_cells
from arbench.show.tables import columns

Found = tuple[Path, dict[str, Any]]
_NOT_OF_A_RUN = (LookupError, TypeError, ValueError, AttributeError)


def list_runs(folder: Path, *, as_json: bool) -> None:
    """Print the runs in a folder, at any depth, and what is none and why.

    Raises:
        ConfigError: if there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; `list runs` takes one that holds run folders")
    rows, left_out = run_rows(folder)
    for reason in left_out:
        click.echo(f"left out: {one_line(reason)}", err=True)
    if as_json:
        click.echo(json.dumps({"runs": rows}, indent=1))
    elif rows:
        header = [key for key in rows[0] if any(row[key] for row in rows)]
        cells = [[one_line(str(row[key])) for key in header] for row in rows]
        click.echo(columns(cells, header, least=_least_first(cells, header)))
    else:
        click.echo(f"no runs in {folder}: `arbench run` makes one")


def run_rows(folder: Path) -> tuple[list[dict[str, str]], list[str]]:
    """A row for each recipe, or for each run that has none, and what was left out and why."""
    recipes: dict[tuple[str, ...], list[Found]] = {}
    left_out, unfinished = [], []
    for path in sorted({file.parent for file in folder.rglob("config.json")} | _recorded(folder)):
        if not (path / "record.json").exists():
            unfinished.append(path)
            continue
        try:
            record = upgraded(read_json(path / "record.json", CheckpointError, "gone meanwhile"))
            recipes.setdefault(_recipe(path, record), []).append((path, record))
        except (CheckpointError, *_NOT_OF_A_RUN) as error:
            left_out.append(f"{path / 'record.json'}: no record ({error})")
    groups = [*recipes.values()]
    rows = []
    for found, settings in zip(groups, _settings_apart(groups), strict=True):
        try:
            rows.append(_row(found, settings))
        except _NOT_OF_A_RUN as error:
            left_out.append(f"{found[0][0] / 'record.json'}: no record ({error!r})")
    rows += [{**_EMPTY, "run": path.name, "state": "unfinished"} for path in unfinished]
    return sorted(rows, key=lambda row: (row["task"], row["model"], row["run"])), left_out


_EMPTY = dict.fromkeys(
    ("run", "task", "model", "settings", "seeds", "split", "nats", "per", "bits/dim", "state"), ""
)


# In this order they go where a terminal has no room for all; nats stay longest.
_LEAST = ("split", "per", "bits/dim", "state", "task", "model", "seeds", "settings", "nats")


def _least_first(cells: Sequence[Sequence[str]], header: Sequence[str]) -> list[int]:
    """Which columns go first: those that say one thing in every row, then by what they say."""
    apart = {key: len({row[place] for row in cells}) > 1 for place, key in enumerate(header)}
    kept_long = [key for key in _LEAST if key in header]
    return [header.index(key) for key in sorted(kept_long, key=apart.__getitem__)]


def _recorded(folder: Path) -> set[Path]:
    return {file.parent for file in folder.rglob("record.json")}


def _recipe(path: Path, record: Mapping[str, Any]) -> tuple[str, ...]:
    """What the seeds of one recipe have in common; a run without a result stands alone."""
    training = record.get("training") or {}
    same = training.get("recipe_sha256") if training.get("status") == "finished" else None
    return record["task"]["name"], record["model"]["name"], same or str(path)


def _settings_apart(groups: Sequence[Sequence[Found]]) -> list[str]:
    """In what each differs from others of its task and model."""
    texts = [""] * len(groups)
    kinds: dict[tuple[str, ...], list[int]] = {}
    for place, found in enumerate(groups):
        kinds.setdefault(_recipe(*found[0])[:2], []).append(place)
    for places in kinds.values():
        own = settings_that_differ([groups[place][0][1] for place in places])
        for place, text in zip(places, own, strict=True):
            texts[place] = text
    return texts


def _row(found: Sequence[Found], settings: str) -> dict[str, str]:
    records = [record for _, record in found]
    first = records[0]
    training = first.get("training") or {}
    row = _EMPTY | {
        "run": name_of_seeds([path for path, _ in found]),
        "task": first["task"]["name"],
        "model": first["model"]["name"],
        "settings": settings,
        "seeds": ", ".join(sorted(str(r["training"]["seed"]) for r in records))
        if training
        else "-",
        "state": training.get("status", "finished"),
    }
    sections = [record["measurements"].get("likelihood") or {} for record in records]
    split = next((name for name in ("test", "validation") if sections[0].get(name)), None)
    if split is None or no_likelihood(first):
        return row
    unit = first["task"]["unit"]
    row |= {"split": split, "per": nats_per(unit)}
    if len(records) == 1:
        row["nats"], row["bits/dim"], *_ = likelihood_cells(sections[0][split], unit)
        return row
    parts = [section[split] for section in sections if section.get(split)]
    is_event = nats_per(unit) == "event"
    nats = [
        part["nats_per_event"]
        if is_event
        else part["total_nats"] / part["num_dims"] * dims_in(nats_per(unit))
        for part in parts
    ]
    bits = [part["bits_per_dim"] for part in parts if part["bits_per_dim"] is not None]
    row["nats"] = _mean_and_spread(nats, 3 if is_event else 4)
    row["bits/dim"] = _mean_and_spread(bits, 4) if bits else "-"
    return row


def _mean_and_spread(values: Sequence[float], digits: int) -> str:
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean}, sd {statistics.stdev(values):.2g}" if len(values) > 1 else mean
