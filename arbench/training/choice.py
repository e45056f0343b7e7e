"""Chooses a recipe of a model: by its name (`--recipe`), or by the time there is (`--budget`).

A model may have quick recipes beside that of a task: `shakespeare-2m.toml` is good in two minutes.
`minutes` in `shakespeare.toml` says from which budget on that one is better.
"""

from __future__ import annotations

import math
import re
from typing import Any

from arbench.errors import ConfigError
from arbench.registry.entries import ModelEntry
from arbench.registry.names import did_you_mean
from arbench.registry.source import recipe_names
from arbench.show.reporting import Reporter
from arbench.show.wording import training_text
from arbench.training.recipes import read_recipe

_QUICK = re.compile(r"(?P<stem>.+)-(?P<minutes>[1-9]\d*)m")


def named_recipe(entry: ModelEntry, name: str) -> tuple[str, dict[str, Any]]:
    """A recipe by its name, such as "mnist" or "default"; see `recipes.read_recipe`.

    Raises:
        ConfigError: if the model has none of that name.
    """
    names = recipe_names(entry.recipes)
    if name not in names:
        raise ConfigError(
            f"--recipe {name}: {entry.name} has no such recipe{did_you_mean(name, names)}; there "
            f"are {', '.join(names) or 'none'}"
        )
    return read_recipe(entry, name)


def recipe_in_time(
    entry: ModelEntry, task_name: str, budget_s: float
) -> tuple[str, dict[str, Any]]:
    """The recipe for a task that does best in so many seconds of training on two cores.

    That is the longest of those that are good in the time, or the quickest. A model without quick
    recipes has one alone.
    """
    names = recipe_names(entry.recipes)
    stem = task_name if task_name in names else "default"
    quick = {name: match for name in names if (match := _QUICK.fullmatch(name))}
    minutes = {name: float(m["minutes"]) for name, m in quick.items() if m["stem"] == stem}
    usual = read_recipe(entry, task_name)
    if not minutes:
        return usual
    if 60 * float(usual[1].get("minutes", math.inf)) <= budget_s:
        return usual
    by_time = sorted(minutes, key=minutes.__getitem__)
    fit = [name for name in by_time if 60 * minutes[name] <= budget_s]
    return read_recipe(entry, fit[-1] if fit else by_time[0])


def say_choice(recipe_name: str, budget_s: float, reporter: Reporter) -> None:
    """Say which recipe the time there is led to, and what it means for the training."""
    if match := _QUICK.fullmatch(recipe_name):
        stem = match["stem"].rpartition("/")[2]
        reporter.say(f"recipe  {recipe_name} for a short time; --recipe {stem} takes the long one")
    else:
        time = training_text(budget_s)
        reporter.say(f"recipe  {recipe_name}, whose schedule is laid over {time} of training")
