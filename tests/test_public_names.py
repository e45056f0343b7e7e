"""The names of `arbench`: what type checkers read and what is looked up are the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import arbench


def test_type_checkers_are_told_of_every_name_and_its_home() -> None:
    tree = ast.parse(Path(arbench.__file__).read_text())
    told = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == arbench._HOMES


@pytest.mark.parametrize("name", arbench.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(arbench, name) is not None
    assert name in dir(arbench)
