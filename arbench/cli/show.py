"""`arbench show`: a model, task, measurement, launcher or run in full; `--recipe`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from arbench.cli.bibtex import bibtex_of
from arbench.cli.markdown_text import fitted
from arbench.cli.options import UserPath
from arbench.cli.records import record_text
from arbench.cli.setting_texts import argument_docs, recipe_values, settings_text
from arbench.errors import ArbenchError, CheckpointError, ConfigError, DataError, PluginError
from arbench.files.canonical import seal_fault
from arbench.files.strict_json import read_json
from arbench.registry.entries import (
    LauncherEntry,
    LoggerEntry,
    MeasurementEntry,
    ModelEntry,
    TaskEntry,
)
from arbench.registry.manager import Registered, registry, split_argument
from arbench.registry.source import (
    class_constants,
    keyword_arguments,
    package_folder,
    recipe_names,
)
from arbench.runs.record.binding import binding_fault
from arbench.show.escaping import one_line
from arbench.show.tables import columns, pairs

RECORD = "record.json"


@click.command("show")
@click.argument("name", type=UserPath())
@click.option(
    "--recipe",
    metavar="NAME",
    help="Of a model: also show the values of this recipe, or of the recipe for this task.",
)
@click.option(
    "--heatmap",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    type=UserPath(),
    help="Of a run: draw how many bits each dim of its test events costs [default: heatmap.png; "
    "texts go to the terminal].",
)
@click.option(
    "--task", metavar="TASK", help="For --heatmap: where your own data are, such as table:PATH."
)
@click.option("--bibtex", is_flag=True, help="Of a model or a task: print what to cite.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(
    name: str,
    recipe: str | None,
    heatmap: str | None,
    task: str | None,
    bibtex: bool,
    as_json: bool,
) -> None:
    """Show NAME: a model, measurement, launcher or logger with its settings, a task, or a run.

    Name a run by its folder or by its name in the zoo. If a folder is called like a model, a task,
    a measurement, a launcher or a logger, write ./NAME for the folder.

    \b
    arbench show nade
    arbench show nade --recipe mnist
    arbench show nade --bibtex
    arbench show runs/mnist-nade
    arbench show mnist/nade
    arbench show runs/mnist-nade --heatmap
    """  # noqa: D301 - click wants the character
    if bibtex:
        click.echo(bibtex_of(name))
        return
    if heatmap is not None:
        if as_json or recipe is not None:
            raise click.UsageError("--heatmap draws a picture: leave out --json and --recipe")
        from arbench.cli.heatmap import show_heatmap

        show_heatmap(name, Path(heatmap) if heatmap else None, task)
        return
    if task is not None:
        raise click.UsageError("--task is for --heatmap only")
    offers = registry()
    key = split_argument(name)[0]
    shown: dict[str, dict[str, Any]] = {}
    texts: list[str] = []
    spellings = {s: offer for offer in offers.models.values() for s in offer.entry.spellings}
    if key in spellings:
        shown["model"] = _model(spellings[key], recipe, [*offers.tasks])
        texts.append(_model_text(shown["model"]))
    elif recipe is not None:
        raise ConfigError(f"--recipe {recipe}: only a model has recipes, and {name} is not a model")
    if key in offers.tasks:
        shown["task"] = _task(offers.tasks[key])
        texts.append(_task_text(shown["task"]))
    if key in offers.measurements:
        shown["measurement"] = _measurement(offers.measurements[key])
        texts.append(_asked_text("measurement", shown["measurement"]))
    asked: list[Mapping[str, Registered[Any]]] = [offers.launchers, offers.loggers]
    for offer in (each[key] for each in asked if key in each):
        kind = offer.entry.kind
        shown[kind] = _with_extra(offer)
        texts.append(_asked_text(kind, shown[kind]))
    if not shown:
        name = _folder(name)
        shown["run"] = _whole_run(name, as_json)
        if not as_json:
            texts.append(_run_text(name, shown["run"]))
    click.echo(json.dumps(shown, indent=1) if as_json else "\n\n".join(texts))


def _model(offer: Registered[ModelEntry], recipe: str | None, tasks: list[str]) -> dict[str, Any]:
    entry = offer.entry
    settings = _settings(entry.network)
    sections: dict[str, Any] = {
        "model": entry.name,
        "summary": entry.summary,
        "paper": entry.paper,
        "plugin": f"{offer.plugin}, of {offer.distribution} {offer.version}",
        "network": entry.network,
        "recipes": recipe_names(entry.recipes),
        "settings": settings,
    }
    if recipe is not None:
        sections["recipe"], values = recipe_values(entry, recipe, tasks)
        for setting in settings:
            if setting["key"] in values.get("network", {}):
                setting["value"] = values["network"][setting["key"]]
        sections["values"] = values
    return sections


def _settings(target: str) -> list[dict[str, Any]]:
    """The keyword arguments of a class, and what its docstring says of each."""
    docs = argument_docs(target)
    return [
        {
            "key": argument.name,
            "type": argument.type,
            "default": argument.default,
            "meaning": docs.get(argument.name, ""),
        }
        for argument in keyword_arguments(target)
    ]


def _model_text(model: dict[str, Any]) -> str:
    names = ("model", "summary", "paper", "plugin", "network")
    about = [(name, model[name]) for name in names]
    about.append(("recipes", ", ".join(model["recipes"]) or "none"))
    settings = settings_text(model["settings"], room=2) or "none"
    blocks = [pairs(about), "settings (--set KEY=VALUE)\n" + _indented(settings)]
    if "recipe" in model:
        rows = [
            [f"{section}.{key}", json.dumps(value)]
            for section, values in model["values"].items()
            for key, value in values.items()
        ]
        title = f"recipe {model['recipe']}: what it does not name has its default"
        blocks.append(f"{title}\n{_indented(columns(rows, room=2))}")
    elif len(model["recipes"]) > 0:
        blocks.append(f"arbench show {model['model']} --recipe {model['recipes'][-1]}")
    return "\n\n".join(blocks)


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


def _measurement(offer: Registered[MeasurementEntry]) -> dict[str, Any]:
    entry = offer.entry
    said = class_constants(entry.measurement)
    return {
        "measurement": entry.name,
        "summary": entry.summary,
        "unit": said.get("unit", ""),
        "better": said.get("better", ""),
        "reads": ", ".join(said.get("reads", ("test",))),
        "needs": ", ".join(said.get("needs", ("log_prob",))),
        "plugin": f"{offer.plugin}, of {offer.distribution} {offer.version}",
        "class": entry.measurement,
        "to install": offer.install_command if offer.missing else "",
        "settings": _settings(entry.measurement),
    }


def _with_extra(offer: Registered[Any]) -> dict[str, Any]:
    entry = offer.entry
    return {
        entry.kind: entry.name,
        "summary": entry.summary,
        "plugin": f"{offer.plugin}, of {offer.distribution} {offer.version}",
        "class": entry.target,
        "to install": offer.install_command if offer.missing else "",
        "settings": _settings(entry.target),
    }


def _asked_text(kind: str, shown: dict[str, Any]) -> str:
    """Something that is asked for by a key, `NAME?KEY=VALUE`."""
    about = [(key, value) for key, value in shown.items() if key != "settings" and value]
    settings = settings_text(shown["settings"], room=2) or "none"
    title = f"settings ({shown[kind]}?KEY=VALUE&KEY=VALUE)\n"
    return "\n\n".join([pairs(about), title + _indented(settings)])


def _folder(name: str) -> str:
    """The folder of the run that a name stands for: its path, or a name that others know it by."""
    if Path(name).is_dir():
        return name
    if "/" not in name:
        raise _unknown(name)
    from arbench.hub.finding import find_run

    return str(find_run(name))


def _whole_run(name: str, as_json: bool) -> dict[str, Any]:
    """The record of a run; damage is refused, or, for JSON, said.

    Raises:
        CheckpointError: if the record or a file of the run was changed, unless for JSON.
    """
    record = _run(name)
    fault = seal_fault(record)
    fault = f"{Path(name) / RECORD}: {fault}" if fault else _files_fault(name, record)
    if fault and not as_json:
        raise CheckpointError(f"{fault}; --json prints the record as it is")
    if fault:
        click.echo(f"arbench: warning: {one_line(fault)}", err=True)
    return record


def _run(name: str) -> dict[str, Any]:
    """The record of a run, unchecked: its schema's library is too slow to import for a look."""
    path = Path(name) / RECORD
    if not path.exists():
        if (Path(name) / "config.json").exists():
            raise CheckpointError(
                f"{name}: this run is unfinished; if it is not running, continue it with "
                f"`arbench resume {name}`"
            )
        if seeds := sorted(Path(name).glob("seed-*/config.json")):
            raise ConfigError(
                f"{name}: is a folder of {len(seeds)} seeds; name one of its runs, such as "
                f"{seeds[0].parent}, or compare it with another (`arbench compare`)"
            )
        raise DataError(f"{name} has no {RECORD}: not a run, or not a finished one")
    record = read_json(path, DataError, "not a run, or not a finished one")
    if not isinstance(record, dict):
        raise DataError(f"{path}: expected a record, found a {type(record).__name__}")
    return record


def _files_fault(name: str, record: dict[str, Any]) -> str | None:
    """Why the files of a run are not those of its record; None if they are."""
    return binding_fault(Path(name), hashes) if (hashes := record.get("sha256")) else None


def _unknown(name: str) -> ArbenchError:
    """What the registry says about the name: of the two answers, the one with a suggestion."""
    answers: list[ArbenchError] = []
    for kind in (ModelEntry, TaskEntry, MeasurementEntry, LauncherEntry, LoggerEntry):
        try:
            registry().find(kind, name)
        except PluginError as error:
            return error
        except ConfigError as error:
            answers.append(error)
    for answer in answers:
        if "did you mean" in str(answer):
            return answer
    return ConfigError(
        f"{name!r} is no model, no task, no measurement, no launcher, no logger and no folder; "
        "`arbench list` shows models and tasks"
    )


def _task_text(task: dict[str, Any]) -> str:
    about = [(name, value) for name, value in task.items() if name != "readme"]
    return "\n\n".join(filter(None, [pairs(about), fitted(task["readme"].strip())]))


def _run_text(name: str, record: dict[str, Any]) -> str:
    try:
        return record_text(Path(name), record)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{Path(name) / RECORD}: no record of a run ({problem}); --json prints it as it is"
        ) from error


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
