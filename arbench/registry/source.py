"""Reads a class's settings from its source file, without importing it."""

from __future__ import annotations

import ast
import contextlib
import importlib.machinery
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbench.errors import PluginError


@dataclass(frozen=True)
class KeywordArgument:
    """A keyword argument of a constructor, as its author wrote it.

    Attributes:
        name: of the argument.
        type: its annotation; empty where there is none.
        default: an expression; None where a value is required.
    """

    name: str
    type: str
    default: str | None


def module_file(name: str) -> Path | None:
    """The source file of a module or of a package's `__init__`; None if there is none to read."""
    spec: importlib.machinery.ModuleSpec | None = None
    parents = name.split(".")
    # `importlib.util.find_spec` imports the parents of a dotted name; walking down does not.
    for depth in range(1, len(parents) + 1):
        prefix = ".".join(parents[:depth])
        if spec is None:
            spec = importlib.util.find_spec(prefix)
        else:
            path = spec.submodule_search_locations
            spec = importlib.machinery.PathFinder.find_spec(prefix, path) if path else None
        if spec is None:
            return None
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def package_folder(name: str) -> Path | None:
    """The folder of a package; None if it is not there."""
    file = module_file(name)
    return file.parent if file is not None else None


def recipe_names(package: str | None) -> list[str]:
    """The names of the recipes in a package's folder `recipes/`: "default", then the others."""
    folder = package_folder(package) if package else None
    names = [] if folder is None else [path.stem for path in (folder / "recipes").glob("*.toml")]
    return sorted(names, key=lambda name: (name != "default", name))


def keyword_arguments(target: str) -> list[KeywordArgument]:
    """The keyword-only arguments of the class at `"package.module:Class"`, in their order.

    The constructor is the class's own, or that of the nearest base in the same file.

    Raises:
        PluginError: if the file cannot be read or does not define the class.
    """
    class_name, classes = _classes(target)
    constructor = _constructor(class_name, classes)
    if constructor is None:
        return []
    arguments = constructor.args
    return [
        KeywordArgument(
            argument.arg,
            ast.unparse(argument.annotation) if argument.annotation else "",
            ast.unparse(default) if default else None,
        )
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]


def class_constants(target: str) -> dict[str, Any]:
    """What the class at `"package.module:Class"` and its bases in the same file say of themselves.

    Attributes that are assigned in the body of the class and are literals, such as `unit = "nats"`.

    Raises:
        PluginError: if the file cannot be read or does not define the class.
    """
    class_name, classes = _classes(target)
    constants: dict[str, Any] = {}
    for node in _with_bases(class_name, classes):
        for item in node.body:
            if isinstance(item, ast.Assign) and len(item.targets) == 1:
                name, value = item.targets[0], item.value
            elif isinstance(item, ast.AnnAssign) and item.value is not None:
                name, value = item.target, item.value
            else:
                continue
            if isinstance(name, ast.Name) and name.id not in constants:
                with contextlib.suppress(ValueError):
                    constants[name.id] = ast.literal_eval(value)
    return constants


def _classes(target: str) -> tuple[str, dict[str, ast.ClassDef]]:
    """The name of a class, and all classes of its file."""
    module_name, _, class_name = target.partition(":")
    file = module_file(module_name)
    if file is None or file.suffix != ".py":
        raise PluginError(f"{target}: no source file of {module_name} to read")
    try:
        tree = ast.parse(file.read_bytes(), file.name)
    except (OSError, SyntaxError, ValueError) as error:
        raise PluginError(f"{file}: not readable as Python: {error}") from error
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if class_name not in classes:
        raise PluginError(f"{file} does not define the class {class_name}")
    return class_name, classes


def _constructor(name: str, classes: dict[str, ast.ClassDef]) -> ast.FunctionDef | None:
    """The `__init__` that the class inherits or defines, within this file."""
    for node in _with_bases(name, classes):
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return item
    return None


def _with_bases(name: str, classes: dict[str, ast.ClassDef]) -> Iterator[ast.ClassDef]:
    """The class, then its bases within this file, the nearest first."""
    remaining = dict(classes)
    queue = [name]
    while queue:
        node = remaining.pop(queue.pop(0), None)  # popped, so that a circle of bases ends
        if node is None:
            continue
        yield node
        queue += [base.id for base in node.bases if isinstance(base, ast.Name)]
