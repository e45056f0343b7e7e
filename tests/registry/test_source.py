"""What is read from source files alone, without importing them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from arbench.errors import PluginError
from arbench.registry.source import (
    KeywordArgument,
    keyword_arguments,
    module_file,
    package_folder,
    recipe_names,
)

NETWORK = """
raise RuntimeError("this file was imported")

class Base:
    def __init__(self, layout, num_params, *, hidden: int = 500, width, tied: "bool" = True): ...

class Derived(Base):
    pass

class Circle(Circle): ...
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "source_probe" / "inner"
    folder.mkdir(parents=True)
    for parent in (folder.parent, folder):
        (parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "network.py").write_text(NETWORK)
    (folder / "recipes").mkdir()
    for name in ("mnist", "default", "caltech"):
        (folder / "recipes" / f"{name}.toml").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


@pytest.mark.parametrize("name", ["Base", "Derived"])
def test_keyword_arguments_are_read_and_nothing_is_imported(package: Path, name: str) -> None:
    assert keyword_arguments(f"source_probe.inner.network:{name}") == [
        KeywordArgument("hidden", "int", "500"),
        KeywordArgument("width", "", None),
        KeywordArgument("tied", "'bool'", "True"),
    ]
    assert not [module for module in sys.modules if module.startswith("source_probe")]


def test_a_circle_of_bases_ends(package: Path) -> None:
    assert keyword_arguments("source_probe.inner.network:Circle") == []


def test_a_class_elsewhere_is_named(package: Path) -> None:
    with pytest.raises(PluginError, match="does not define the class Missing"):
        keyword_arguments("source_probe.inner.network:Missing")
    with pytest.raises(PluginError, match="no source file"):
        keyword_arguments("source_probe.nowhere:Missing")
    with pytest.raises(PluginError, match="no source file"):
        keyword_arguments("no_such_package_anywhere.module:Missing")


def test_a_file_that_is_no_python_is_named(package: Path) -> None:
    (package / "network.py").write_text("def (")
    with pytest.raises(PluginError, match=r"network\.py: not readable as Python"):
        keyword_arguments("source_probe.inner.network:Base")


def test_recipes_and_folders(package: Path) -> None:
    assert module_file("source_probe.inner.network") == package / "network.py"
    assert package_folder("source_probe.inner") == package
    assert recipe_names("source_probe.inner") == ["default", "caltech", "mnist"]
    assert recipe_names(None) == []
    assert recipe_names("no_such_package_anywhere") == []
