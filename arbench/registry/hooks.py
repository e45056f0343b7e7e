"""Calls the hooks of a plugin, which are older than its list of entries."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import pluggy

from arbench.errors import PluginError
from arbench.registry import hookspecs
from arbench.registry.entries import KINDS, Entry
from arbench.registry.names import did_you_mean


def returned_by_hooks(
    name: str, plugin: object
) -> Iterator[tuple[str, Any, tuple[type[Entry], ...]]]:
    """What the hooks of a plugin return, unchecked, with what begins a message about it.

    Each plugin has a manager of its own, so no plugin's wrapper or misspelling reaches another.

    Args:
        name: of the plugin.
        plugin: its module.

    Raises:
        PluginError: if there is no hook, or one is misspelled, unmarked or returns None.
    """
    manager = pluggy.PluginManager("arbench")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name)
    _check_names(manager, plugin)
    for kind in KINDS:
        hook: pluggy.HookCaller = getattr(manager.hook, f"arbench_register_{kind.kind}s")
        implementations = [i for i in hook.get_hookimpls() if not (i.wrapper or i.hookwrapper)]
        returned = hook()
        if len(returned) < len(implementations):
            raise PluginError(f"{hook.name} returned None, expected a list of {kind.__name__}")
        for offer in returned:
            yield f"{hook.name} returned", offer, (kind,)


def _check_names(manager: pluggy.PluginManager, plugin: object) -> None:
    known = [name for name in vars(hookspecs) if name.startswith("arbench_")]
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        if caller.name not in known and not all(i.optionalhook for i in caller.get_hookimpls()):
            raise PluginError(
                f"no hook is called {caller.name!r}{did_you_mean(caller.name, known)}"
            )
    for name, value in vars(plugin).items():
        if (
            name.startswith("arbench_register_")
            and isinstance(value, types.FunctionType)
            and not hasattr(value, "arbench_impl")
        ):
            raise PluginError(f"{name} is not marked with @hookimpl")
    if not callers:
        raise PluginError(
            "it has no list arbench_entries and implements no hook; expected the list, or "
            f"{' or '.join(known)}"
        )
