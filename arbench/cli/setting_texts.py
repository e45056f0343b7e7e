"""The settings and their meanings that `arbench show MODEL` lists.

Nothing is imported.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from typing import Any

from arbench.errors import ConfigError, PluginError
from arbench.registry.entries import ModelEntry
from arbench.registry.names import did_you_mean
from arbench.registry.source import module_file, package_folder, recipe_names
from arbench.show.tables import filled, terminal_width

_WIDTH = 90


def argument_docs(target: str) -> dict[str, str]:
    """What the docstrings of the class at `"package.module:Class"` say of each argument.

    Google's form, a section `Args:` in the docstring of the class or of its `__init__`; what a
    class leaves out is looked for in its bases within the same file.

    Raises:
        PluginError: if the file cannot be read.
    """
    module_name, _, class_name = target.partition(":")
    file = module_file(module_name)
    if file is None:
        raise PluginError(f"{target}: no source file of {module_name} to read")
    try:
        tree = ast.parse(file.read_bytes(), file.name)
    except (OSError, SyntaxError, ValueError) as error:
        raise PluginError(f"{file}: not readable as Python: {error}") from error
    remaining = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    docs: dict[str, str] = {}
    queue = [class_name]
    while queue:
        node = remaining.pop(queue.pop(0), None)
        if node is None:
            continue
        documented: list[ast.ClassDef | ast.FunctionDef] = [node]
        documented += [
            item
            for item in node.body
            if isinstance(item, ast.FunctionDef) and item.name == "__init__"
        ]
        for each in documented:
            docs = _args_section(ast.get_docstring(each) or "") | docs
        queue += [base.id for base in node.bases if isinstance(base, ast.Name)]
    return docs


def _args_section(docstring: str) -> dict[str, str]:
    """The entries of the section `Args:`, each on one line."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", docstring, re.MULTILINE)
    if section is None:
        return {}
    docs: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(section[1]).splitlines():
        entry = re.match(r"\*{0,2}(\w+)(?: \([^)]*\))?: *(.*)", line)
        if entry is not None:
            name = entry[1]
            docs[name] = entry[2]
        elif line.startswith(" ") and name:
            docs[name] = f"{docs[name]} {line.strip()}".strip()
    return docs


def recipe_values(
    entry: ModelEntry, name: str, task_names: list[str]
) -> tuple[str, dict[str, Any]]:
    """A recipe as its file has it, by section; a task without one of its own has the default.

    Args:
        entry: the model.
        name: of a recipe or of a task.
        task_names: all there are.

    Returns:
        The recipe's name, such as "nade/mnist", and its sections.

    Raises:
        ConfigError: if there is neither such a recipe nor such a task, or its file is not TOML.
    """
    recipes = recipe_names(entry.recipes)
    if name not in recipes and name not in task_names:
        hint = did_you_mean(name, [*recipes, *task_names])
        has = ", ".join(recipes) or "none"
        raise ConfigError(
            f"{entry.name} has no recipe {name!r}, nor is that a task{hint}; its recipes: {has}"
        )
    stem = name if name in recipes else "default"
    folder = package_folder(entry.recipes) if entry.recipes else None
    if folder is None or stem not in recipes:
        return f"{entry.name}/none", {}
    file = folder / "recipes" / f"{stem}.toml"
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
        values.pop("minutes", None)  # says when it is taken, and sets nothing
        return f"{entry.name}/{stem}", values
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise ConfigError(f"{file}: not readable as TOML: {error}") from error


def settings_text(settings: list[dict[str, Any]], *, room: int = 0) -> str:
    """Each setting on a line with its type, default and value, its meaning wrapped below it.

    Args:
        settings: any number.
        room: what the terminal keeps for others at the beginning of each line.
    """
    width = min(_WIDTH, (terminal_width() or _WIDTH + 4 + room) - 4 - room)
    lines = []
    for setting in settings:
        default = setting["default"]
        origin = "required" if default is None else f"default {default}"
        value = f", in this recipe {setting['value']}" if "value" in setting else ""
        about = f"{setting['key']}  ({setting['type'] or 'any type'}, {origin}{value})"
        lines.append(filled(about, room=room))
        meaning = textwrap.wrap(setting["meaning"] or "(not explained)", width)
        lines += [f"    {line}" for line in meaning]
    return "\n".join(lines)
