"""The command that trains a recorded run again: its task, model, seed, and what it set itself."""

from __future__ import annotations

import shlex

from arbench.errors import ArbenchError
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.runs.record.difference import flat_settings, setting_text
from arbench.runs.record.record import Record
from arbench.training.recipes import Recipe, options_schema, resolve_recipe


def command_of(record: Record) -> str | None:
    """`arbench run` as it trains this run again, in a shell's words.

    Whatever differs from the recipe that is installed is set. A setting that came after the record
    has its default.

    Returns:
        None for a density that was not trained here, or where its model is not installed.
    """
    training = record.training
    if training is None:
        return None
    name, task = record.model.name, record.task.name
    try:
        registered = registry().find(ModelEntry, name)
        network_class = registered.load()
        _, recipe = resolve_recipe(registered.entry, network_class, task)
        network = options_schema(network_class)().model_dump(mode="json")
    except (ArbenchError, ValueError):
        return None
    first = Recipe(network=network).model_dump(mode="json")
    wanted = flat_settings(first) | flat_settings(training.settings)
    installed = flat_settings(recipe.model_dump(mode="json"))
    words = ["arbench", "run", "--task", task, "--model", name]
    for key, value in wanted.items():
        if installed.get(key) != value:
            words += ["--set", f"{key.removeprefix('network.')}={setting_text(value)}"]
    if training.budget_s is not None:
        words += ["--budget", f"{training.budget_s:g}s"]
    if training.seed:
        words += ["--seed", str(training.seed)]
    if training.precision != "float32":
        words += ["--precision", training.precision]
    if training.compiled:
        words.append("--compile")
    return shlex.join(words)
