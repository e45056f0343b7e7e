"""Finds installed plugins by the entry point `arbench`, and reads what each offers.

A plugin is a module with a list of entries, `arbench_entries`. What is older has a hook for each
kind of entry instead, or what is newer beside it; see `arbench.registry.hooks`. All that a plugin
offers is accepted, or nothing.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from arbench.errors import PluginError
from arbench.registry.entries import KINDS, Entry

GROUP = "arbench"
ENTRIES = "arbench_entries"

# Fields that may be None, and those that an entry checks or makes itself.
_OPTIONAL = ("recipes", "argument", "extra")
_CHECKED = ("aliases", "spellings")
_SHOWN_CHARACTERS = 60


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

    @property
    def names(self) -> set[str]:
        """What `ARBENCH_PLUGINS` may call it, normalised."""
        return {normal(self.name), normal(self.distribution)}


def installed_plugins() -> Iterator[tuple[PluginInfo, importlib.metadata.EntryPoint | None]]:
    """Every entry point of the group; None, and "failed", where the metadata cannot be read."""
    seen: set[str] = set()
    # `importlib.metadata.entry_points` would parse the metadata of every distribution, and one
    # damaged entry_points.txt would take all the others down.
    for distribution in importlib.metadata.distributions():
        damage = ""
        entry_points: list[importlib.metadata.EntryPoint] = []
        try:
            if f"[{GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
                continue
            entry_points = list(distribution.entry_points.select(group=GROUP))
        except Exception as error:  # whatever the parsers of the metadata stumble over
            says = " ".join(f"{type(error).__name__}: {error}".split())
            damage = f"its entry_points.txt is damaged ({says})"
        name, version = "(unnamed distribution)", "(unknown version)"
        with contextlib.suppress(Exception):  # the METADATA file may be damaged
            metadata = distribution.metadata
            name, version = metadata["Name"] or name, metadata["Version"] or version
        if normal(name) in seen:
            continue  # the first on the path is the one that Python imports
        seen.add(normal(name))
        if damage:
            yield PluginInfo("?", name, version, "failed", damage), None
        for entry_point in entry_points:
            yield PluginInfo(entry_point.name, name, version, "loaded"), entry_point


def offered_by(name: str, entry_point: importlib.metadata.EntryPoint) -> list[Entry]:
    """The entries of one plugin; what it raises itself passes through.

    Args:
        name: of the plugin.
        entry_point: where it is.

    Raises:
        PluginError: if it prints, or registers something unusable.
    """
    entries: list[Entry] = []
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        plugin = entry_point.load()
        # What begins a message, what is offered, and of which kinds that has to be.
        offers: list[tuple[str, Any, tuple[type[Entry], ...]]] = []
        offers += [(f"{ENTRIES} is", getattr(plugin, ENTRIES, []), KINDS)]
        hooks = [
            key
            for key, value in vars(plugin).items()
            if key.startswith("arbench_register_") or hasattr(value, "arbench_impl")
        ]
        if hooks or not hasattr(plugin, ENTRIES):
            from arbench.registry.hooks import returned_by_hooks

            offers += returned_by_hooks(name, plugin)

        for what, offer, kinds in offers:
            expected = " or ".join(kind.__name__ for kind in kinds)
            if not isinstance(offer, (list, tuple)):
                raise PluginError(f"{what} a {type(offer).__name__}, expected a list of {expected}")
            for entry in offer:
                if not isinstance(entry, kinds):
                    where = what.partition(" ")[0]
                    raise PluginError(
                        f"{where} offers a {type(entry).__name__}, expected {expected}"
                    )
                for field, value in vars(entry).items():
                    is_text = isinstance(value, str) or (value is None and field in _OPTIONAL)
                    if not is_text and field not in _CHECKED:
                        kind = type(value).__name__
                        raise PluginError(f"{entry.name}: the {field} is a {kind}, expected text")
            entries += offer

        offered = [(type(entry), spelling) for entry in entries for spelling in entry.spellings]
        for each in offered:
            if offered.count(each) > 1:
                raise PluginError(f"it offers {each[1]!r} twice")
    if text := " ".join(printed.getvalue().split()):
        raise PluginError(f"it prints while it is imported ({text[:_SHOWN_CHARACTERS]!r})")
    return entries


def normal(name: str) -> str:
    """A distribution's name as packaging compares it: `My_Plugin` and `my-plugin` are one."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def missing_of_extra(distribution: str, extra: str) -> tuple[str, ...]:
    """What an extra of an installed distribution asks for and nobody has installed.

    Versions are not looked at: the installer does that.
    """
    from packaging.requirements import InvalidRequirement, Requirement  # few have an extra

    missing: list[str] = []
    queue, seen = [(distribution, extra)], set()
    while queue:
        wanted = queue.pop()
        if wanted in seen:
            continue  # extras may name each other
        seen.add(wanted)
        try:
            texts = importlib.metadata.requires(wanted[0]) or []
        except importlib.metadata.PackageNotFoundError:
            missing.append(wanted[0])
            continue
        for text in texts:
            with contextlib.suppress(InvalidRequirement):
                need = Requirement(text)
                # Without the extra it is needed by all, and so is installed.
                if need.marker is None or need.marker.evaluate({"extra": ""}):
                    continue
                if need.marker.evaluate({"extra": wanted[1]}):
                    queue += [(need.name, each) for each in need.extras or {""}]
    return tuple(sorted(set(missing)))
