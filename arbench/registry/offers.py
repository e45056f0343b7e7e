"""Offers: what one plugin registers, all of it checked, or nothing."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import types
from typing import TypeVar

import pluggy

from arbench.registry import hookspecs
from arbench.registry.entries import (
    CommandEntry,
    Entry,
    HeadEntry,
    MeasurementEntry,
    ModelEntry,
    TaskEntry,
)
from arbench.registry.names import did_you_mean
from arbench.registry.plugins import UnfitError, contained

E = TypeVar("E", bound=Entry)

# Fields that may be None, and the one that an entry checks itself.
_OPTIONAL = ("recipes", "argument", "extra")
_CHECKED = ("aliases",)
_SHOWN_CHARACTERS = 60


class Offers:
    """The entries of one plugin.

    Each plugin has a manager of its own, so no plugin's wrapper or misspelling reaches another.

    Args:
        name: of the plugin.
        entry_point: where its hooks are.

    Raises:
        UnfitError: if it cannot be imported, prints, or registers something unusable.
    """

    def __init__(self, name: str, entry_point: importlib.metadata.EntryPoint) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contained():
            plugin = entry_point.load()
            manager = pluggy.PluginManager("arbench")
            manager.add_hookspecs(hookspecs)
            manager.register(plugin, name)
            _check_hook_names(manager, plugin)
            self.models = _entries(manager.hook.arbench_register_models, ModelEntry)
            self.tasks = _entries(manager.hook.arbench_register_tasks, TaskEntry)
            self.heads = _entries(manager.hook.arbench_register_heads, HeadEntry)
            self.measurements = _entries(
                manager.hook.arbench_register_measurements, MeasurementEntry
            )
            self.commands = _entries(manager.hook.arbench_register_commands, CommandEntry)
        if text := " ".join(printed.getvalue().split()):
            raise UnfitError(f"it prints while it is imported ({text[:_SHOWN_CHARACTERS]!r})")


def _check_hook_names(manager: pluggy.PluginManager, plugin: object) -> None:
    known = [name for name in vars(hookspecs) if name.startswith("arbench_")]
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        if caller.name not in known and not all(i.optionalhook for i in caller.get_hookimpls()):
            raise UnfitError(f"no hook is called {caller.name!r}{did_you_mean(caller.name, known)}")
    for name, value in vars(plugin).items():
        if (
            name.startswith("arbench_register_")
            and isinstance(value, types.FunctionType)
            and not hasattr(value, "arbench_impl")
        ):
            raise UnfitError(f"{name} is not marked with @hookimpl")
    if not callers:
        raise UnfitError(f"it implements no hook; expected {' or '.join(known)}")


def _entries(hook: pluggy.HookCaller, kind: type[E]) -> list[E]:
    """What the plugin returned for one hook, checked."""
    implementations = [i for i in hook.get_hookimpls() if not (i.wrapper or i.hookwrapper)]
    returned = hook()
    if len(returned) < len(implementations):
        raise UnfitError(f"{hook.name} returned None, expected a list of {kind.__name__}")
    entries: list[E] = []
    for offer in returned:
        if not isinstance(offer, (list, tuple)):
            raise UnfitError(
                f"{hook.name} returned a {type(offer).__name__}, expected a list of {kind.__name__}"
            )
        for entry in offer:
            _check_entry(hook.name, entry, kind)
            entries.append(entry)
    names = [name for entry in entries for name in entry.spellings]
    for name in names:
        if names.count(name) > 1:
            raise UnfitError(f"{hook.name} offers {name!r} twice")
    return entries


def _check_entry(hook_name: str, entry: object, kind: type[E]) -> None:
    if not isinstance(entry, kind):
        raise UnfitError(f"{hook_name} offers a {type(entry).__name__}, expected {kind.__name__}")
    for field, value in vars(entry).items():
        if field in _CHECKED:
            continue
        if not isinstance(value, str) and not (value is None and field in _OPTIONAL):
            raise UnfitError(
                f"{entry.name}: the {field} is a {type(value).__name__}, expected text"
            )
