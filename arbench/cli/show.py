"""`arbench show`: one model, one task or one run folder in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from arbench.cli.columns import columns
from arbench.errors import ArbenchError, ConfigError, DataError, PluginError
from arbench.registry.entries import ModelEntry, TaskEntry
from arbench.registry.manager import Registered, registry, split_argument
from arbench.registry.source import (
    keyword_arguments,
    package_folder,
    recipe_names,
)

RECORD = "record.json"


@click.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(name: str, as_json: bool) -> None:
    """Show NAME: a model, a task, or the folder of a run.

    Where a folder has the name of a model or task, write ./NAME for the folder.
    """
    offers = registry()
    key = split_argument(name)[0]
    shown: dict[str, dict[str, Any]] = {}
    if key in offers.models:
        shown["model"] = _model(offers.models[key])
    if key in offers.tasks:
        shown["task"] = _task(offers.tasks[key])
    if not shown:
        shown["run"] = _run(name)
    if as_json:
        click.echo(json.dumps(shown, indent=1))
    else:
        click.echo("\n\n".join(_text(sections) for sections in shown.values()))


def _model(offer: Registered[ModelEntry]) -> dict[str, Any]:
    entry = offer.entry
    sections: dict[str, Any] = {
        "model": entry.name,
        "summary": entry.summary,
        "paper": entry.paper,
        "plugin": f"{offer.plugin}, of {offer.distribution} {offer.version}",
        "network": entry.network,
    }
    recipes = recipe_names(entry.recipes)
    sections["recipes"] = ", ".join(recipes) or "none"
    sections["configuration"] = [
        {
            "key": argument.name,
            "type": argument.type or "(not stated)",
            "default": "(required)" if argument.default is None else argument.default,
        }
        for argument in keyword_arguments(entry.network)
    ]
    return sections


def _task(offer: Registered[TaskEntry]) -> dict[str, Any]:
    entry = offer.entry
    package = entry.task.partition(":")[0].partition(".")[0]
    folder = package_folder(package)
    readme = folder / "README.md" if folder is not None else None
    return {
        "task": entry.name if entry.argument is None else f"{entry.name}:{entry.argument}",
        "summary": entry.summary,
        "plugin": f"{offer.plugin}, of {offer.distribution} {offer.version}",
        "class": entry.task,
        "readme": readme.read_text("utf-8") if readme is not None and readme.is_file() else "",
    }


def _run(name: str) -> dict[str, Any]:
    """The record of a run, unchecked: its schema's library is too slow to import for a look."""
    path = Path(name) / RECORD
    if not Path(name).is_dir():
        raise _unknown(name)
    try:
        record = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{name} has no {RECORD}: not a run, or not a finished one") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: expected a record, found a {type(record).__name__}")
    return record


def _unknown(name: str) -> ArbenchError:
    """What the registry says about the name: of the two answers, the one with a suggestion."""
    answers: list[ArbenchError] = []
    for find in (registry().model, registry().task):
        try:
            find(name)
        except PluginError as error:
            return error
        except ConfigError as error:
            answers.append(error)
    for answer in answers:
        if "did you mean" in str(answer):
            return answer
    return ConfigError(
        f"{name!r} is no model, no task and no folder; `arbench list` shows models and tasks"
    )


def _text(sections: dict[str, Any]) -> str:
    """Single values in one block, then each group under its name."""
    single = {key: value for key, value in sections.items() if not isinstance(value, dict | list)}
    readme = single.pop("readme", "")
    blocks = [_pairs(single)] if single else []
    for key, value in sections.items():
        if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
            value = [{key: name, **row} for name, row in value.items()]
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            header = list(value[0])
            rows = [[_cell(row.get(name)) for name in header] for row in value]
            blocks.append(f"{key}\n{_indented(columns(rows, header))}")
        elif isinstance(value, dict):
            blocks.append(f"{key}\n{_indented(_pairs(value))}")
        elif isinstance(value, list):
            blocks.append(f"{key}\n{_indented(', '.join(map(_cell, value)) or 'none')}")
    if readme:
        blocks.append(readme.strip())
    return "\n\n".join(blocks)


def _pairs(values: dict[str, Any]) -> str:
    return columns([[key, _cell(value)] for key, value in values.items() if value != ""])


def _cell(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}={_cell(item)}" for key, item in value.items()) or "none"
    return str(value)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
