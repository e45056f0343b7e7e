"""The manager: finds plugins, keeps the failing ones out, answers who offers which name."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import io
import os
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import pluggy

from arbench.errors import ConfigError, PluginError
from arbench.registry import hookspecs
from arbench.registry.entries import HeadEntry, ModelEntry, TaskEntry

GROUP = "arbench"
STRICT_VARIABLE = "ARBENCH_STRICT_PLUGINS"
SELECTION_VARIABLE = "ARBENCH_PLUGINS"

_UNNAMED, _UNVERSIONED = "(unnamed distribution)", "(unknown version)"

Entry = TypeVar("Entry", ModelEntry, TaskEntry, HeadEntry)
Kind = Literal["model", "task", "head"]


@dataclass(frozen=True)
class PluginInfo:
    """A plugin that was found.

    Attributes:
        name: of its entry point.
        distribution: the installed package that brings it.
        version: of the distribution.
        status: "loaded"; "failed": kept out; "skipped": `ARBENCH_PLUGINS` does not name it.
        problem: one line, what is wrong; empty unless it failed.
    """

    name: str
    distribution: str
    version: str
    status: Literal["loaded", "failed", "skipped"]
    problem: str = ""

    def __str__(self) -> str:
        """What messages call it."""
        return f"plugin {self.name} of {self.distribution} {self.version}"


@dataclass(frozen=True)
class Registered(Generic[Entry]):
    """An entry and who registered it."""

    entry: Entry
    plugin: str
    distribution: str
    version: str

    @property
    def target(self) -> str:
        """Where the class is, `"package.module:Class"`."""
        return self.entry.target

    def load(self) -> type[Any]:
        """The class itself, imported now. What its modules print goes to standard error.

        Raises:
            PluginError: if it cannot be imported, or is not a class.
        """
        module_name, _, class_name = self.target.partition(":")
        try:
            with contextlib.redirect_stdout(sys.stderr), _contained():
                target = getattr(importlib.import_module(module_name), class_name)
            if not isinstance(target, type):
                raise _UnfitError(f"a {type(target).__name__}, not a class")
        except _UnfitError as error:
            raise PluginError(
                f"{self.entry.name}: {self.target} of {self.distribution} {self.version} "
                f"cannot be loaded: {error}; ask its author, or uninstall it"
            ) from error
        return target


@dataclass(frozen=True)
class Clash:
    """A name that more than one plugin offers: nobody gets it."""

    kind: Kind
    name: str
    offered_by: tuple[str, ...]

    def __str__(self) -> str:
        """One line: who offers it, and what to do."""
        return (
            f"the {self.kind} name {self.name!r} is offered by {' and by '.join(self.offered_by)}: "
            f"uninstall all but one, or choose with {SELECTION_VARIABLE}"
        )


class Registry:
    """Everything on offer by name, plugins with their state, clashes of names.

    Attributes:
        models: name to model, without the clashing names, sorted.
        tasks: name to task, likewise.
        heads: name to head, likewise.
        plugins: every plugin found, in the order they were found.
        clashes: names that are offered more than once.
    """

    def __init__(
        self,
        *,
        models: Iterable[Registered[ModelEntry]] = (),
        tasks: Iterable[Registered[TaskEntry]] = (),
        heads: Iterable[Registered[HeadEntry]] = (),
        plugins: Iterable[PluginInfo] = (),
    ) -> None:
        """Sort what was offered into names and clashes."""
        self.plugins = list(plugins)
        self.models, model_clashes = _by_name("model", models)
        self.tasks, task_clashes = _by_name("task", tasks)
        self.heads, head_clashes = _by_name("head", heads)
        self.clashes = [*model_clashes, *task_clashes, *head_clashes]

    def model(self, name: str) -> Registered[ModelEntry]:
        """The model of that name, whatever its case.

        Raises:
            ConfigError: if nobody offers it; the line says what comes close.
            PluginError: if two plugins offer it.
        """
        return self._find("model", name, self.models)

    def task(self, name: str) -> Registered[TaskEntry]:
        """The task of that name, whatever its case.

        Raises:
            ConfigError: if nobody offers it; the line says what comes close.
            PluginError: if two plugins offer it.
        """
        return self._find("task", name, self.tasks)

    def head(self, name: str) -> Registered[HeadEntry]:
        """The head of that name, whatever its case.

        Raises:
            ConfigError: if nobody offers it; the line says what comes close.
            PluginError: if two plugins offer it.
        """
        return self._find("head", name, self.heads)

    def _find(
        self, kind: Kind, name: str, offers: Mapping[str, Registered[Entry]]
    ) -> Registered[Entry]:
        wanted = name.strip().lower()
        for clash in self.clashes:
            if (clash.kind, clash.name) == (kind, wanted):
                raise PluginError(str(clash))
        for offer in offers.values():
            if wanted in offer.entry.spellings:
                return offer
        raise ConfigError(
            f"no {kind} is called {name!r}{did_you_mean(wanted, offers)}; "
            f"`arbench list {kind}s` shows all{self._failures()}"
        )

    def _failures(self) -> str:
        failed = [plugin.name for plugin in self.plugins if plugin.status == "failed"]
        return f" (plugins that failed to load: {', '.join(failed)})" if failed else ""


@functools.cache
def registry() -> Registry:
    """What the installed plugins offer; found once per process.

    A plugin that fails is named in one line on standard error and kept out.

    Raises:
        PluginError: if a plugin fails or a name clashes, and `ARBENCH_STRICT_PLUGINS` is 1.
        ConfigError: if `ARBENCH_PLUGINS` names a plugin that is not there.
    """
    strict = os.environ.get(STRICT_VARIABLE, "") not in ("", "0")
    models: list[Registered[ModelEntry]] = []
    tasks: list[Registered[TaskEntry]] = []
    heads: list[Registered[HeadEntry]] = []
    plugins: list[PluginInfo] = []
    found = list(_found(strict))
    selected = _selection(found)
    for info, entry_point in found:
        if entry_point is None:
            plugins.append(info)
            continue
        if selected is not None and not selected & _names(info):
            plugins.append(_with(info, "skipped"))
            continue
        try:
            offered = _offers(info.name, entry_point)
        except _UnfitError as error:
            plugins.append(_failed(info, error, strict))
            continue
        plugins.append(info)
        origin = (info.name, info.distribution, info.version)
        models += [Registered(entry, *origin) for entry in offered[0]]
        tasks += [Registered(entry, *origin) for entry in offered[1]]
        heads += [Registered(entry, *origin) for entry in offered[2]]
    result = Registry(models=models, tasks=tasks, heads=heads, plugins=plugins)
    if strict and result.clashes:
        raise PluginError(str(result.clashes[0]))
    return result


def split_argument(text: str) -> tuple[str, str | None]:
    """The task name in lower case, and what follows its first colon, as in `images:PATH`.

    Raises:
        ConfigError: if there is a colon with nothing before or behind it.
    """
    name, colon, argument = text.partition(":")
    if colon and not (name.strip() and argument):
        raise ConfigError(f"{text!r} is not NAME or NAME:ARGUMENT, as in images:PATH")
    return name.strip().lower(), argument if colon else None


def did_you_mean(wanted: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `": did you mean nade?"`, or nothing."""
    import difflib  # only an error needs it

    close = difflib.get_close_matches(wanted, names, n=3)
    return f": did you mean {' or '.join(close)}?" if close else ""


class _UnfitError(Exception):
    """A plugin breaks the rules; the message is one line."""


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """Turn whatever a plugin's code raises, `SystemExit` included, into `_UnfitError`."""
    try:
        yield
    except (KeyboardInterrupt, _UnfitError):
        raise
    except BaseException as error:
        raise _UnfitError(" ".join(f"{type(error).__name__}: {error}".split())) from error


def _found(strict: bool) -> Iterator[tuple[PluginInfo, importlib.metadata.EntryPoint | None]]:
    """Every entry point of the group; None in its place where the metadata cannot be read."""
    seen: set[str] = set()
    # `importlib.metadata.entry_points` would parse the metadata of every distribution, and one
    # damaged entry_points.txt would take all the others down.
    for distribution in importlib.metadata.distributions():
        damage = None
        entry_points: list[importlib.metadata.EntryPoint] = []
        try:
            with _contained():
                if f"[{GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
                    continue
                entry_points = list(distribution.entry_points.select(group=GROUP))
        except _UnfitError as error:
            damage = _UnfitError(f"its entry_points.txt is damaged ({error})")
        name, version = _identity(distribution)
        if _normal(name) in seen:
            continue  # the first on the path is the one that Python imports
        seen.add(_normal(name))
        if damage is not None:
            yield _failed(PluginInfo("?", name, version, "failed"), damage, strict), None
        for entry_point in entry_points:
            yield PluginInfo(entry_point.name, name, version, "loaded"), entry_point


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Name and version, or what stands for them where the METADATA file is damaged."""
    try:
        with _contained():
            metadata = distribution.metadata
            return metadata["Name"] or _UNNAMED, metadata["Version"] or _UNVERSIONED
    except _UnfitError:
        return _UNNAMED, _UNVERSIONED


def _selection(
    found: Iterable[tuple[PluginInfo, importlib.metadata.EntryPoint | None]],
) -> set[str] | None:
    """The names in `ARBENCH_PLUGINS`, normalised; None when it is unset or empty."""
    wanted = {_normal(name) for name in os.environ.get(SELECTION_VARIABLE, "").split(",")} - {""}
    known: set[str] = set().union(*(_names(info) for info, _ in found))
    for name in sorted(wanted - known):
        raise ConfigError(
            f"{SELECTION_VARIABLE} names {name!r}, but no such plugin is installed"
            f"{did_you_mean(name, known)}"
        )
    return wanted or None


def _offers(
    name: str, entry_point: importlib.metadata.EntryPoint
) -> tuple[list[ModelEntry], list[TaskEntry], list[HeadEntry]]:
    """What one plugin registers, all of it or nothing.

    Each plugin has a manager of its own, so no plugin's wrapper or misspelling reaches another.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), _contained():
        plugin = entry_point.load()
        manager = pluggy.PluginManager("arbench")
        manager.add_hookspecs(hookspecs)
        manager.register(plugin, name)
        _check_hook_names(manager, plugin)
        models = _entries(manager.hook.arbench_register_models, ModelEntry)
        tasks = _entries(manager.hook.arbench_register_tasks, TaskEntry)
        heads = _entries(manager.hook.arbench_register_heads, HeadEntry)
    if text := " ".join(printed.getvalue().split()):
        raise _UnfitError(f"it prints while it is imported ({text[:60]!r})")
    return models, tasks, heads


def _check_hook_names(manager: pluggy.PluginManager, plugin: object) -> None:
    known = [name for name in vars(hookspecs) if name.startswith("arbench_")]
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        if caller.name not in known and not all(i.optionalhook for i in caller.get_hookimpls()):
            raise _UnfitError(
                f"no hook is called {caller.name!r}{did_you_mean(caller.name, known)}"
            )
    for name, value in vars(plugin).items():
        if (
            name.startswith("arbench_register_")
            and isinstance(value, types.FunctionType)
            and not hasattr(value, "arbench_impl")
        ):
            raise _UnfitError(f"{name} is not marked with @hookimpl")
    if not callers:
        raise _UnfitError(f"it implements no hook; expected {' or '.join(known)}")


def _entries(hook: pluggy.HookCaller, kind: type[Entry]) -> list[Entry]:
    """What the plugin returned for one hook, checked."""
    implementations = [i for i in hook.get_hookimpls() if not (i.wrapper or i.hookwrapper)]
    returned = hook()
    if len(returned) < len(implementations):
        raise _UnfitError(f"{hook.name} returned None, expected a list of {kind.__name__}")
    entries: list[Entry] = []
    for offer in returned:
        if not isinstance(offer, (list, tuple)):
            raise _UnfitError(
                f"{hook.name} returned a {type(offer).__name__}, expected a list of {kind.__name__}"
            )
        for entry in offer:
            _check_entry(hook.name, entry, kind)
            entries.append(entry)
    names = [name for entry in entries for name in entry.spellings]
    for name in names:
        if names.count(name) > 1:
            raise _UnfitError(f"{hook.name} offers {name!r} twice")
    return entries


def _check_entry(hook_name: str, entry: object, kind: type[Entry]) -> None:
    if not isinstance(entry, kind):
        raise _UnfitError(f"{hook_name} offers a {type(entry).__name__}, expected {kind.__name__}")
    optional = ("recipes", "argument")
    for field, value in vars(entry).items():
        if field == "aliases":
            continue  # the entry checks them itself
        if not isinstance(value, str) and not (value is None and field in optional):
            raise _UnfitError(
                f"{entry.name}: the {field} is a {type(value).__name__}, expected text"
            )


def _by_name(
    kind: Kind, offers: Iterable[Registered[Entry]]
) -> tuple[Mapping[str, Registered[Entry]], list[Clash]]:
    groups: dict[str, list[Registered[Entry]]] = {}
    for offer in offers:
        for name in offer.entry.spellings:
            groups.setdefault(name, []).append(offer)
    unique = {
        name: group[0]
        for name, group in sorted(groups.items())
        if len(group) == 1 and group[0].entry.name == name
    }
    clashes = [
        Clash(kind, name, tuple(f"{o.distribution} {o.version} ({o.plugin})" for o in group))
        for name, group in sorted(groups.items())
        if len(group) > 1
    ]
    return types.MappingProxyType(unique), clashes


def _failed(info: PluginInfo, error: _UnfitError, strict: bool) -> PluginInfo:
    failed = _with(info, "failed", str(error))
    if strict:
        raise PluginError(f"{failed}: {error}") from error
    print(f"arbench: warning: {failed} is left out: {error}", file=sys.stderr)
    return failed


def _with(info: PluginInfo, status: Literal["failed", "skipped"], problem: str = "") -> PluginInfo:
    return PluginInfo(info.name, info.distribution, info.version, status, problem)


def _names(info: PluginInfo) -> set[str]:
    return {_normal(info.name), _normal(info.distribution)}


def _normal(name: str) -> str:
    """A distribution's name as packaging compares it: `My_Plugin` and `my-plugin` are one."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
