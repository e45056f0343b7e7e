"""The registry: looks up names, reports failed plugins and names offered twice."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from arbench.errors import ConfigError, PluginError
from arbench.registry.entries import (
    KINDS,
    CommandEntry,
    Entry,
    HeadEntry,
    MeasurementEntry,
    ModelEntry,
    TaskEntry,
)
from arbench.registry.names import did_you_mean
from arbench.registry.offers import offered_by
from arbench.registry.plugins import (
    PluginInfo,
    UnfitError,
    contained,
    installed_plugins,
    missing_of_extra,
    normal,
)
from arbench.registry.surroundings import TamperedError, undisturbed

STRICT_VARIABLE = "ARBENCH_STRICT_PLUGINS"
SELECTION_VARIABLE = "ARBENCH_PLUGINS"

E = TypeVar("E", bound=Entry, covariant=True)
Kind = Literal["model", "task", "head", "measurement", "command"]


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

    @property
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
            with (
                contextlib.redirect_stdout(sys.stderr),
                contained(),
                undisturbed(origin, _warn),
            ):
                target = getattr(importlib.import_module(module_name), object_name)
            if not isinstance(target, expected):
                wanted = "class" if expected is type else expected.__name__
                raise UnfitError(f"a {type(target).__name__}, not a {wanted}")
        except UnfitError as error:
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
        measurements: name to measurement, likewise.
        commands: name to command, likewise.
        plugins: every plugin found, in the order they were found.
        clashes: names that are offered more than once.
    """

    def __init__(
        self,
        *,
        models: Iterable[Registered[ModelEntry]] = (),
        tasks: Iterable[Registered[TaskEntry]] = (),
        heads: Iterable[Registered[HeadEntry]] = (),
        measurements: Iterable[Registered[MeasurementEntry]] = (),
        commands: Iterable[Registered[CommandEntry]] = (),
        plugins: Iterable[PluginInfo] = (),
    ) -> None:
        """Sort what was offered into names and clashes."""
        self.plugins = list(plugins)
        self.models, model_clashes = _by_name("model", models)
        self.tasks, task_clashes = _by_name("task", tasks)
        self.heads, head_clashes = _by_name("head", heads)
        self.measurements, measurement_clashes = _by_name("measurement", measurements)
        self.commands, command_clashes = _by_name("command", commands)
        self.clashes = [*model_clashes, *task_clashes, *head_clashes]
        self.clashes += [*measurement_clashes, *command_clashes]

    def model(self, name: str) -> Registered[ModelEntry]:
        """The model of that name, whatever its case.

        Raises:
            ConfigError: if nobody offers it; the line says what comes close.
            PluginError: if two plugins offer it.
        """
        return self._find("model", name, self.models)

    def task(self, name: str) -> Registered[TaskEntry]:
        """The task of that name, whatever its case; it raises as `model` does."""
        return self._find("task", name, self.tasks)

    def head(self, name: str) -> Registered[HeadEntry]:
        """The head of that name, whatever its case; it raises as `model` does."""
        return self._find("head", name, self.heads)

    def measurement(self, name: str) -> Registered[MeasurementEntry]:
        """The measurement of that name, whatever its case; it raises as `model` does."""
        return self._find("measurement", name, self.measurements)

    def command(self, name: str) -> Registered[CommandEntry]:
        """The command of that name, whatever its case; it raises as `model` does."""
        return self._find("command", name, self.commands)

    def _find(self, kind: Kind, name: str, offers: Mapping[str, Registered[E]]) -> Registered[E]:
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
        PluginError: if a plugin fails or a name clashes, and `ARBENCH_STRICT_PLUGINS` is 1; if one
            replaces a function of torch, and torch is about to be used.
        ConfigError: if `ARBENCH_PLUGINS` names a plugin that is not there.
    """
    strict = os.environ.get(STRICT_VARIABLE, "") not in ("", "0")
    offered: list[Registered[Any]] = []
    plugins: list[PluginInfo] = []
    found = list(installed_plugins())
    selected = _selection([plugin for plugin, _ in found])
    for plugin, entry_point in found:
        if entry_point is None:
            plugins.append(_failed(plugin, strict))
            continue
        if selected is not None and not selected & plugin.names:
            plugins.append(replace(plugin, status="skipped"))
            continue
        runs = "torch" in sys.modules  # what only lists does not import it
        try:
            with undisturbed(str(plugin), _warn):
                entries = offered_by(plugin.name, entry_point)
        except UnfitError as error:
            if runs and isinstance(error, TamperedError):
                raise PluginError(
                    f"{plugin}: {error}; ask its author, uninstall it, or leave it out with "
                    f"{SELECTION_VARIABLE}"
                ) from error
            plugins.append(_failed(replace(plugin, status="failed", problem=str(error)), strict))
            continue
        plugins.append(plugin)
        origin = (plugin.name, plugin.distribution, plugin.version)
        offered += [Registered(entry, *origin) for entry in entries]
    by_kind: dict[str, Any] = {
        kind: [each for each in offered if isinstance(each.entry, entry_class)]
        for kind, entry_class in KINDS.items()
    }
    result = Registry(plugins=plugins, **by_kind)
    if strict and result.clashes:
        raise PluginError(str(result.clashes[0]))
    return result


def _selection(plugins: Iterable[PluginInfo]) -> set[str] | None:
    """The names in `ARBENCH_PLUGINS`, normalised; None when it is unset or empty."""
    text = os.environ.get(SELECTION_VARIABLE, "")
    if not text:
        return None
    wanted = {normal(name) for name in text.split(",")} - {""}
    known: set[str] = set().union(*(plugin.names for plugin in plugins))
    for name in sorted(wanted - known):
        raise ConfigError(
            f"{SELECTION_VARIABLE} names {name!r}, but no such plugin is installed"
            f"{did_you_mean(name, known)}"
        )
    return wanted or None


def _by_name(
    kind: Kind, offers: Iterable[Registered[E]]
) -> tuple[Mapping[str, Registered[E]], list[Clash]]:
    groups: dict[str, list[Registered[E]]] = {}
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


def _warn(text: str) -> None:
    print(f"arbench: warning: {text}", file=sys.stderr)


def _failed(plugin: PluginInfo, strict: bool) -> PluginInfo:
    """The failed plugin, after the failure has been told, or raised where that is wanted."""
    if strict:
        raise PluginError(f"{plugin}: {plugin.problem}")
    _warn(f"{plugin} is left out: {plugin.problem}")
    return plugin
