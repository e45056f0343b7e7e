"""Looks at torch as soon as a plugin imports it for the first time."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def followed_by(look: Callable[[], None]) -> Iterator[None]:
    """Inside the block, the first import of torch calls a function before anything else goes on.

    Args:
        look: is called once torch is there; never, if nothing imports it.
    """
    finder = _TorchFinder(look)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _TorchFinder:
    """Finds torch as everybody does, and looks at it once it is imported."""

    def __init__(self, look: Callable[[], None]) -> None:
        self.look = look

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.look()

        loader.exec_module = exec_module
        return spec
