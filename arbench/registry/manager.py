"""The registry: looks up names (`images:PATH` too), reports failed plugins and clashes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from arbench.errors import ConfigError, PluginError
from arbench.registry.entries import (
    KINDS,
    CommandEntry,
    Entry,
    HeadEntry,
    Kind,
    LauncherEntry,
    LoggerEntry,
    MeasurementEntry,
    ModelEntry,
    TaskEntry,
)
from arbench.registry.names import did_you_mean
from arbench.registry.plugins import (
    PluginInfo,
    installed_plugins,
    missing_of_extra,
    normal,
    offered_by,
)
from arbench.registry.surroundings import tampered, undisturbed

STRICT_VARIABLE = "ARBENCH_STRICT_PLUGINS"
SELECTION_VARIABLE = "ARBENCH_PLUGINS"

E = TypeVar("E", bound=Entry, covariant=True)


@dataclass(frozen=True)
class Registered(Generic[E]):
    """An entry and who registered it."""

    entry: E
    plugin: str
    distribution: str
    version: str

    @property
    def target(self) -> str:
        """Where the object is, `"package.module:Object"`."""
        return self.entry.target

    @functools.cached_property
    def missing(self) -> tuple[str, ...]:
        """The distributions of its extra that are not installed; nothing is imported."""
        extra = getattr(self.entry, "extra", None)
        return missing_of_extra(self.distribution, extra) if extra else ()

    @property
    def install_command(self) -> str:
        """What installs its extra."""
        return f"pip install '{self.distribution}[{getattr(self.entry, 'extra', None)}]'"

    def load(self, expected: type[Any] = type) -> Any:
        """The object itself, imported now. What its modules print goes to standard error.

        Args:
            expected: what it has to be an instance of; by default it has to be a class.

        Raises:
            PluginError: if it cannot be imported, or is something else.
        """
        module_name, _, object_name = self.entry.target.partition(":")
        origin = f"plugin {self.plugin} of {self.distribution} {self.version}"
        try:
            with contextlib.redirect_stdout(sys.stderr), undisturbed(origin, _warn):
                target = getattr(importlib.import_module(module_name), object_name)
            if not isinstance(target, expected):
                wanted = "class" if expected is type else expected.__name__
                raise PluginError(f"a {type(target).__name__}, not a {wanted}")
        except PluginError as error:
            raise PluginError(
                f"{self.entry.name}: {self.target} of {self.distribution} {self.version} "
                f"cannot be loaded: {error}; ask its author, or uninstall it"
            ) from error
        return target


class Registry:
    """Everything on offer by name, plugins with their state, clashes of names.

    Attributes:
        models: name to model, without the clashing names, sorted.
        tasks: name to task, likewise.
        heads: name to head, likewise.
        measurements: name to measurement, likewise.
        commands: name to command, likewise.
        launchers: name to launcher, likewise.
        loggers: name to logger, likewise.
        plugins: every plugin found, in the order they were found.
        clashes: kind and name of what more than one plugin offers, so that nobody gets it, with
            those who offer it.
    """

    def __init__(
        self, offers: Sequence[Registered[Any]] = (), plugins: Iterable[PluginInfo] = ()
    ) -> None:
        """Sort what was offered into names and clashes."""
        self.plugins = list(plugins)
        self.clashes: dict[tuple[Kind, str], list[str]] = {}
        of: dict[type[Entry], Mapping[str, Registered[Any]]] = {}
        for kind in KINDS:
            groups: dict[str, list[Registered[Any]]] = {}
            for offer in (each for each in offers if isinstance(each.entry, kind)):
                for spelling in offer.entry.spellings:
                    groups.setdefault(spelling, []).append(offer)
            names = {}
            for name, group in sorted(groups.items()):
                if len(group) > 1:
                    who = [f"{o.distribution} {o.version} ({o.plugin})" for o in group]
                    self.clashes[kind.kind, name] = who
                elif group[0].entry.name == name:
                    names[name] = group[0]
            of[kind] = types.MappingProxyType(names)
        self.models: Mapping[str, Registered[ModelEntry]] = of[ModelEntry]
        self.tasks: Mapping[str, Registered[TaskEntry]] = of[TaskEntry]
        self.heads: Mapping[str, Registered[HeadEntry]] = of[HeadEntry]
        self.measurements: Mapping[str, Registered[MeasurementEntry]] = of[MeasurementEntry]
        self.commands: Mapping[str, Registered[CommandEntry]] = of[CommandEntry]
        self.launchers: Mapping[str, Registered[LauncherEntry]] = of[LauncherEntry]
        self.loggers: Mapping[str, Registered[LoggerEntry]] = of[LoggerEntry]

    def find(self, kind: type[E], name: str) -> Registered[E]:
        """What goes by a name, whatever its case.

        Args:
            kind: of entry, such as `ModelEntry`.
            name: as users type it; an alias will do.

        Raises:
            ConfigError: if nobody offers it; the line says what comes close.
            PluginError: if two plugins offer it.
        """
        wanted = name.strip().lower()
        if (kind.kind, wanted) in self.clashes:
            raise PluginError(self.clash_text(kind.kind, wanted))
        offers: Mapping[str, Registered[E]] = getattr(self, f"{kind.kind}s")
        for offer in offers.values():
            if wanted in offer.entry.spellings:
                return offer
        failed = ", ".join(plugin.name for plugin in self.plugins if plugin.status == "failed")
        raise ConfigError(
            f"no {kind.kind} is called {name!r}{did_you_mean(wanted, offers)}; "
            f"`arbench list {kind.kind}s` shows all"
            + (f" (plugins that failed to load: {failed})" if failed else "")
        )

    def clash_text(self, kind: Kind, name: str) -> str:
        """One line about a name in `clashes`: who offers it, and what to do."""
        return (
            f"the {kind} name {name!r} is offered by {' and by '.join(self.clashes[kind, name])}: "
            f"uninstall all but one, or choose with {SELECTION_VARIABLE}"
        )


@functools.cache
def registry() -> Registry:
    """What the installed plugins offer; found once per process.

    A plugin that fails is named in one line on standard error and kept out.

    Raises:
        PluginError: if a plugin fails or a name clashes, and `ARBENCH_STRICT_PLUGINS` is 1; if one
            replaces a function of torch, and torch is about to be used.
        ConfigError: if `ARBENCH_PLUGINS` names a plugin that is not there.
    """
    strict = os.environ.get(STRICT_VARIABLE, "") not in ("", "0")
    found = list(installed_plugins())
    selected = {normal(name) for name in os.environ.get(SELECTION_VARIABLE, "").split(",")} - {""}
    if selected:
        known = {name for plugin, _ in found for name in plugin.names}
        for name in sorted(selected - known):
            says = f"{SELECTION_VARIABLE} names {name!r}, but no such plugin is installed"
            raise ConfigError(says + did_you_mean(name, known))
    offered: list[Registered[Any]] = []
    plugins: list[PluginInfo] = []
    for plugin, entry_point in found:
        called = f"plugin {plugin.name} of {plugin.distribution} {plugin.version}"
        if entry_point is None:
            plugins.append(_failed(plugin, called, strict))
            continue
        if selected and not selected & plugin.names:
            plugins.append(replace(plugin, status="skipped"))
            continue
        runs = "torch" in sys.modules  # what only lists does not import it
        try:
            with undisturbed(called, _warn):
                entries = offered_by(plugin.name, entry_point)
        except PluginError as error:
            if runs and called in tampered:
                raise PluginError(
                    f"{called}: {error}; ask its author, uninstall it, or leave it out with "
                    f"{SELECTION_VARIABLE}"
                ) from error
            failed = replace(plugin, status="failed", problem=str(error))
            plugins.append(_failed(failed, called, strict))
            continue
        plugins.append(plugin)
        origin = (plugin.name, plugin.distribution, plugin.version)
        offered += [Registered(entry, *origin) for entry in entries]
    result = Registry(offered, plugins)
    if strict and result.clashes:
        raise PluginError(result.clash_text(*next(iter(result.clashes))))
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


def _warn(text: str) -> None:
    print(f"arbench: warning: {text}", file=sys.stderr)


def _failed(plugin: PluginInfo, called: str, strict: bool) -> PluginInfo:
    """The failed plugin, after the failure has been told, or raised where that is wanted."""
    if strict:
        raise PluginError(f"{called}: {plugin.problem}")
    _warn(f"{called} is left out: {plugin.problem}")
    return plugin
