"""What a stream and a unit is, only the data room knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from arbench.data.units import _KINDS

ROOT = Path(__file__).parents[2]


def outside_the_data_room() -> Iterator[tuple[str, ast.AST]]:
    """Every expression of the core outside `arbench/data`, with its place."""
    for file in sorted((ROOT / "arbench").rglob("*.py")):
        name = str(file.relative_to(ROOT))
        if name.startswith("arbench/data/"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.expr):
                yield f"{name}:{node.lineno}", node


def asks_what_a_task_is(node: ast.AST) -> bool:
    """Whether an expression is `isinstance` of a stream or of its windows."""
    return (
        isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("isinstance", "issubclass")
        and any(word in ast.unparse(node.args[1]) for word in ("StreamTask", "WindowedTask"))
    )


def compares_units(node: ast.AST) -> bool:
    """Whether an expression compares with the word for a dim, or looks something up by it.

    A pixel is a site too, and `sample` a verb: these two count beside a unit alone.
    """
    parts: list[ast.expr | None] = []
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.Dict):
        parts = node.keys
    inner = [part for whole in parts if whole is not None for part in ast.walk(whole)]
    constants = {part.value for part in inner if isinstance(part, ast.Constant)}
    names = {part.id for part in inner if isinstance(part, ast.Name)}
    names |= {part.attr for part in inner if isinstance(part, ast.Attribute)}
    return bool(constants & {"char", "byte"} or (constants & {*_KINDS} and "unit" in names))


@pytest.mark.parametrize(
    ("text", "asks", "compares"),
    [
        ("isinstance(task, StreamTask)", True, False),
        ("isinstance(task, (Ensemble, data.WindowedTask))", True, False),
        ("isinstance(task, Task)", False, False),
        ("unit in ('char', 'byte')", False, True),
        ("'char' != unit", False, True),
        ("{'byte': 1}[unit]", False, True),
        ("task.unit == 'pixel'", False, True),
        ("sites == 'pixel'", False, False),
        ("'a char'", False, False),
        ("unit == other", False, False),
    ],
)
def test_the_walk_sees_what_it_looks_for(text: str, asks: bool, compares: bool) -> None:
    nodes = list(ast.walk(ast.parse(text)))
    assert any(asks_what_a_task_is(node) for node in nodes) == asks
    assert any(compares_units(node) for node in nodes) == compares


def test_only_the_data_room_asks_whether_a_task_is_a_stream() -> None:
    assert [place for place, node in outside_the_data_room() if asks_what_a_task_is(node)] == []


def test_only_the_data_room_knows_units_by_their_words() -> None:
    assert [place for place, node in outside_the_data_room() if compares_units(node)] == []
