"""How an old import path warns and finds its name in `arbench`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from operator import attrgetter
from types import FrameType
from typing import Any

import arbench


def moved(module: str, *kept: str, **renamed: str) -> Callable[[str], Any]:
    """The `__getattr__` of an old module: it finds the names of 0.1 among those of `arbench`.

    Each file that imports from the module is told once, by a DeprecationWarning that shows the
    import to write instead.

    Args:
        module: the old module.
        kept: names that are the same in `arbench`.
        renamed: the new name of each old one that is not, which may be an attribute: "mu_law.MU".
    """
    homes = {name: name for name in kept} | renamed
    names = {
        home.partition(".")[0] if "." in home or home == old else f"{home} as {old}": None
        for old, home in homes.items()
    }
    text = f"{module} has moved: write `from arbench import {', '.join(names)}`"
    told: set[str] = set()

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        site = _importing(sys._getframe(1))
        if site.f_code.co_filename not in told:
            warnings.warn_explicit(
                f"{text}; this module goes in 0.3",
                DeprecationWarning,
                site.f_code.co_filename,
                site.f_lineno,
                module=str(site.f_globals.get("__name__")),  # nothing is said to None
            )
            told.add(site.f_code.co_filename)
        return attrgetter(homes[name])(arbench)

    return find


def _importing(frame: FrameType) -> FrameType:
    """The frame that asks, below those of Python's own import."""
    while frame.f_code.co_filename.startswith("<frozen importlib") and frame.f_back:
        frame = frame.f_back
    return frame
