"""Checks everything that one plugin registers; accepts all of it or nothing.

A plugin is a module with a list of entries, `arbench_entries`. What is older has a hook for each
kind of entry instead, or what is newer beside it; see `arbench.registry.hookspecs`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import types

import pluggy

from arbench.registry import hookspecs
from arbench.registry.entries import KINDS, Entry
from arbench.registry.names import did_you_mean
from arbench.registry.plugins import UnfitError, contained

ENTRIES = "arbench_entries"

# Fields that may be None, and the one that an entry checks itself.
_OPTIONAL = ("recipes", "argument", "extra")
_CHECKED = ("aliases",)
_SHOWN_CHARACTERS = 60


def offered_by(name: str, entry_point: importlib.metadata.EntryPoint) -> list[Entry]:
    """The entries of one plugin.

    Args:
        name: of the plugin.
        entry_point: where it is.

    Raises:
        UnfitError: if it cannot be imported, prints, or registers something unusable.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contained():
        plugin = entry_point.load()
        entries = _checked(f"{ENTRIES} is", getattr(plugin, ENTRIES, []), (*KINDS.values(),))
        hooks = [
            key
            for key, value in vars(plugin).items()
            if key.startswith("arbench_register_") or hasattr(value, "arbench_impl")
        ]
        if hooks or not hasattr(plugin, ENTRIES):
            entries += _entries_of_hooks(name, plugin)
        offered = [(type(entry), spelling) for entry in entries for spelling in entry.spellings]
        for kind, spelling in offered:
            if offered.count((kind, spelling)) > 1:
                raise UnfitError(f"it offers {spelling!r} twice")
    if text := " ".join(printed.getvalue().split()):
        raise UnfitError(f"it prints while it is imported ({text[:_SHOWN_CHARACTERS]!r})")
    return entries


def _checked(what: str, offer: object, kinds: tuple[type[Entry], ...]) -> list[Entry]:
    """A list of entries of some kinds, whose fields are texts.

    Args:
        what: begins the message, such as "arbench_entries is".
        offer: what a plugin offers.
        kinds: of the entries.
    """
    expected = " or ".join(kind.__name__ for kind in kinds)
    if not isinstance(offer, (list, tuple)):
        raise UnfitError(f"{what} a {type(offer).__name__}, expected a list of {expected}")
    for entry in offer:
        if not isinstance(entry, kinds):
            where = what.partition(" ")[0]
            raise UnfitError(f"{where} offers a {type(entry).__name__}, expected {expected}")
        for field, value in vars(entry).items():
            is_text = isinstance(value, str) or (value is None and field in _OPTIONAL)
            if not is_text and field not in _CHECKED:
                raise UnfitError(
                    f"{entry.name}: the {field} is a {type(value).__name__}, expected text"
                )
    return list(offer)


def _entries_of_hooks(name: str, plugin: object) -> list[Entry]:
    """What the hooks of a plugin return.

    Each plugin has a manager of its own, so no plugin's wrapper or misspelling reaches another.
    """
    manager = pluggy.PluginManager("arbench")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name)
    _check_hook_names(manager, plugin)
    entries: list[Entry] = []
    for kind, entry_class in KINDS.items():
        hook: pluggy.HookCaller = getattr(manager.hook, f"arbench_register_{kind}")
        implementations = [i for i in hook.get_hookimpls() if not (i.wrapper or i.hookwrapper)]
        returned = hook()
        if len(returned) < len(implementations):
            raise UnfitError(
                f"{hook.name} returned None, expected a list of {entry_class.__name__}"
            )
        for offer in returned:
            entries += _checked(f"{hook.name} returned", offer, (entry_class,))
    return entries


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
        raise UnfitError(
            f"it has no list {ENTRIES} and implements no hook; expected the list, or "
            f"{' or '.join(known)}"
        )
