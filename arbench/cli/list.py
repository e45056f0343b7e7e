"""`arbench list`: models, tasks, measurements, launchers, loggers, recipes, plugins, zoo, runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from arbench.cli.options import UserPath
from arbench.data.units import nats_per
from arbench.errors import PluginError
from arbench.registry.entries import Entry, MeasurementEntry, TaskEntry
from arbench.registry.manager import Registered, Registry, registry
from arbench.registry.plugins import PluginInfo
from arbench.runs.zoo import zoo_index
from arbench.show.record_tables import likelihood_cells
from arbench.show.tables import columns, filled

Rows = list[dict[str, str]]
# These go first where a terminal has no room for all; of the others the last one.
_LEAST = ("version", "distribution", "where", "plugin", "reads", "needs", "size")
# Of a measurement that says nothing of them.
READS, NEEDS = ("test",), ("log_prob",)


def _models(offers: Registry) -> Rows:
    return [
        {
            "model": name,
            "summary": offer.entry.summary,
            "paper": offer.entry.paper,
            "plugin": offer.distribution,
        }
        for name, offer in offers.models.items()
    ]


def _tasks(offers: Registry) -> Rows:
    return [_task(name, offer) for name, offer in offers.tasks.items()]


def _task(name: str, offer: Registered[TaskEntry]) -> dict[str, str]:
    """Its argument, and the options behind that in a column of their own: `[?a][?b]` as `?a ?b`."""
    argument, *options = (offer.entry.argument or "").replace("]", "").split("[")
    return {
        "task": f"{name}:{argument}" if argument else name,
        "summary": offer.entry.summary,
        "options": " ".join(options),
        "plugin": offer.distribution,
    }


def _heads(offers: Registry) -> Rows:
    return [
        {"head": name, "summary": offer.entry.summary, "plugin": offer.distribution}
        for name, offer in offers.heads.items()
    ]


def _measurements(offers: Registry) -> Rows:
    return [_measurement(name, offer) for name, offer in offers.measurements.items()]


def _measurement(name: str, offer: Registered[MeasurementEntry]) -> dict[str, str]:
    """What its source file says of it; nothing is imported, so it need not be installed whole."""
    from arbench.registry.source import class_constants

    said: dict[str, Any] = {}
    problem = f"not installed: {offer.install_command}" if offer.missing else ""
    try:
        said = class_constants(offer.target)
    except PluginError as error:
        problem = problem or str(error)
    return {
        "measurement": name,
        "summary": offer.entry.summary,
        "unit": str(said.get("unit", "")),
        "better": str(said.get("better", "")),
        "needs": ", ".join(said.get("needs", NEEDS)),
        "reads": ", ".join(said.get("reads", READS)),
        "plugin": offer.distribution,
        "problem": problem,
    }


def _commands(offers: Registry) -> Rows:
    return [
        {"command": name, "summary": offer.entry.summary, "plugin": offer.distribution}
        for name, offer in offers.commands.items()
    ]


def _launchers(offers: Registry) -> Rows:
    return _with_extras("launcher", offers.launchers)


def _loggers(offers: Registry) -> Rows:
    return _with_extras("logger", offers.loggers)


def _with_extras(kind: str, offers: Mapping[str, Registered[Entry]]) -> Rows:
    """Of a kind whose entries may need an extra: the command that installs it, if it is missing."""
    return [
        {
            kind: name,
            "summary": offer.entry.summary,
            "plugin": offer.distribution,
            "problem": f"not installed: {offer.install_command}" if offer.missing else "",
        }
        for name, offer in offers.items()
    ]


def _recipes(offers: Registry) -> Rows:
    from arbench.registry.source import recipe_names

    return [
        {"model": name, "recipe": recipe, "plugin": offer.distribution}
        for name, offer in offers.models.items()
        for recipe in recipe_names(offer.entry.recipes)
    ]


def _plugins(offers: Registry) -> Rows:
    return [
        {
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "status": plugin.status,
            "offers": _offered_by(plugin, offers),
            "problem": plugin.problem,
        }
        for plugin in offers.plugins
    ]


def _offered_by(plugin: PluginInfo, offers: Registry) -> str:
    """Such as "model nade; 2 tasks mnist, mnist-mini"; without the names that clash."""
    origin = (plugin.name, plugin.distribution, plugin.version)
    kinds: dict[str, Mapping[str, Registered[Entry]]] = {
        "model": offers.models,
        "task": offers.tasks,
        "head": offers.heads,
        "measurement": offers.measurements,
        "command": offers.commands,
        "launcher": offers.launchers,
        "logger": offers.loggers,
    }
    parts = []
    for kind, found in kinds.items():
        names = [
            name
            for name, offer in found.items()
            if (offer.plugin, offer.distribution, offer.version) == origin
        ]
        if names:
            noun = kind if len(names) == 1 else f"{len(names)} {kind}s"
            parts.append(f"{noun} {', '.join(names)}")
    return "; ".join(parts)


def _zoo(offers: Registry) -> Rows:
    rows = []
    for name, entry in zoo_index().items():
        nats, bits, *_ = likelihood_cells(entry.test, entry.unit, digits=2)
        rows.append(
            {
                "entry": name,
                "test nats": nats,
                "per": nats_per(entry.unit),
                "bits/dim": bits,
                "parameters": f"{entry.num_parameters:,}",
                "size": f"{entry.size / 1e6:.1f} MB",
                "where": "in the package" if entry.bundled else f"on the Hub, {entry.repo}",
            }
        )
    return rows


KINDS: dict[str, Callable[[Registry], Rows]] = {
    "models": _models,
    "tasks": _tasks,
    "heads": _heads,
    "measurements": _measurements,
    "commands": _commands,
    "launchers": _launchers,
    "loggers": _loggers,
    "recipes": _recipes,
    "plugins": _plugins,
    "zoo": _zoo,
}


@click.command("list")
@click.argument("kind", required=False, type=click.Choice([*KINDS, "runs"]))
@click.argument("folder", required=False, metavar="[DIR]", type=UserPath(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(kind: str | None, folder: Path | None, as_json: bool) -> None:
    """List models and tasks, or one KIND of thing.

    `arbench list runs` shows the runs in the folder DIR, by default runs: their names, the settings
    in which they differ, and the mean and spread over seeds. If two plugins offer one name, the
    tables leave it out and a line below names it.
    """
    if kind == "runs":
        from arbench.cli.run_list import list_runs

        list_runs(folder or Path("runs"), as_json=as_json)
        return
    if folder is not None:
        raise click.UsageError(f"`list {kind}` takes no folder, but `list runs` does.")
    offers = registry()
    tables = {each: KINDS[each](offers) for each in ([kind] if kind else ["models", "tasks"])}
    if as_json:
        clashes = [
            {"kind": each, "name": name, "offered_by": who}
            for (each, name), who in offers.clashes.items()
        ]
        click.echo(json.dumps({**tables, "clashes": clashes}, indent=1))
        return
    blocks = [_table(each, rows) for each, rows in tables.items()]
    blocks += [filled(f"clash: {offers.clash_text(*clash)}") for clash in offers.clashes]
    click.echo("\n\n".join(blocks))


def _table(kind: str, rows: Rows) -> str:
    if not rows:
        return f"no {kind}: `arbench list plugins` shows what was found"
    # A column that says the same nothing in every row is left out.
    header = [key for key in rows[0] if any(row[key] for row in rows)]
    cells = [[row[key] for key in header] for row in rows]
    return columns(cells, header, least=_least_first(cells, header))


def _least_first(cells: Sequence[Sequence[str]], header: Sequence[str]) -> list[int]:
    """Which columns go first: those that say one thing in every row; problems stay longest."""

    def worth(place: int) -> tuple[bool, bool, int]:
        key = header[place]
        apart = len({row[place] for row in cells}) > 1
        rank = _LEAST.index(key) if key in _LEAST else len(_LEAST) + len(header) - place
        return key == "problem", apart, rank

    return sorted(range(1, len(header)), key=worth)
