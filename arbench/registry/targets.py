"""Imports a user's own object, named `MODULE:OBJECT`."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from arbench.errors import ConfigError


def import_target(text: str) -> Any:
    """The object that `MODULE:OBJECT` names; modules of the current folder are found too.

    Whatever the module itself raises passes through.

    Raises:
        ConfigError: if that is no such name, or there is no such module or object.
    """
    module_name, _, path = text.partition(":")
    if not module_name or not path:
        raise ConfigError(f"{text!r} names no object: write MODULE:OBJECT, such as flow:density")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        target: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses another
        raise ConfigError(
            f"there is no module {error.name!r} in this folder or on the path"
        ) from error
    for name in path.split("."):
        if not hasattr(target, name):
            raise ConfigError(f"module {module_name!r} has no object {path!r}")
        target = getattr(target, name)
    return target
