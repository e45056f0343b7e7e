"""Finds installed plugins by the entry point `arbench`, and their missing extras."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from arbench.errors import Interrupted

GROUP = "arbench"

_UNNAMED, _UNVERSIONED = "(unnamed distribution)", "(unknown version)"


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

    @property
    def names(self) -> set[str]:
        """What `ARBENCH_PLUGINS` may call it, normalised."""
        return {normal(self.name), normal(self.distribution)}


class UnfitError(Exception):
    """A plugin breaks the rules; the message is one line."""


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Turn whatever a plugin's code raises, `SystemExit` included, into `UnfitError`."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted, MemoryError, UnfitError):
        raise  # which is nobody's fault
    except BaseException as error:
        raise UnfitError(" ".join(f"{type(error).__name__}: {error}".split())) from error


def installed_plugins() -> Iterator[tuple[PluginInfo, importlib.metadata.EntryPoint | None]]:
    """Every entry point of the group; None, and "failed", where the metadata cannot be read."""
    seen: set[str] = set()
    # `importlib.metadata.entry_points` would parse the metadata of every distribution, and one
    # damaged entry_points.txt would take all the others down.
    for distribution in importlib.metadata.distributions():
        damage = ""
        entry_points: list[importlib.metadata.EntryPoint] = []
        try:
            with contained():
                if f"[{GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
                    continue
                entry_points = list(distribution.entry_points.select(group=GROUP))
        except UnfitError as error:
            damage = f"its entry_points.txt is damaged ({error})"
        name, version = _identity(distribution)
        if normal(name) in seen:
            continue  # the first on the path is the one that Python imports
        seen.add(normal(name))
        if damage:
            yield PluginInfo("?", name, version, "failed", damage), None
        for entry_point in entry_points:
            yield PluginInfo(entry_point.name, name, version, "loaded"), entry_point


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


def normal(name: str) -> str:
    """A distribution's name as packaging compares it: `My_Plugin` and `my-plugin` are one."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Name and version, or what stands for them where the METADATA file is damaged."""
    try:
        with contained():
            metadata = distribution.metadata
            return metadata["Name"] or _UNNAMED, metadata["Version"] or _UNVERSIONED
    except UnfitError:
        return _UNNAMED, _UNVERSIONED
