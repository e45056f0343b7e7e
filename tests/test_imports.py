"""Imports run one way, plugins stand alone, and the quick commands stay quick."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "arbench"
PLUGINS = [
    package
    for root in ("plugins", "tasks")
    for package in sorted((ROOT / root).glob("arbench_*"))
    if (package / "__init__.py").exists()
]

# From the lowest room to the highest: each may import from those before it.
ROOMS = (
    "errors",
    "version",
    "registry",
    "probability",
    "files",
    "networks",
    "art",
    "data",
    "show",
    "measure",
    "training",
    "runs",
    "boards",
    "hub",
    "export",
    "testing",
    "scaffold",
    "api",
    "lm_eval",
    "cli",
    "__main__",
)
# What a room leaves alone although it is lower.
STRANGERS = {
    "probability": {"registry"},
    "files": {"probability"},
    "networks": {"registry"},
    "scaffold": {*ROOMS} - {"errors", "version", "registry", "scaffold"},
    "testing": {"boards", "hub", "export"},
}
# What 0.1 called its modules: they stand aside, for plugins of that time alone, and go in 0.3.
OLD = ("experiment", "publish", "probability.metrics")
MOST_FILES = 14
HEAVY = ("torch", "torchvision", "pandas", "pydantic", "accelerate", "huggingface_hub", "numba")


def imported_modules(file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The modules that a file imports anywhere in it, and the names that it takes from them.

    `importlib.import_module("literal")` counts; imports under `TYPE_CHECKING` count too.
    """
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            assert node.module is not None
            yield node.module, tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (
                (argument.value, ())
                for argument in node.args[:1]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            )


def room_of(module: str) -> str:
    """The room of a module of the core; that of the flat door is empty."""
    return [*module.split("."), ""][1]


def is_old(module: str) -> bool:
    """Whether a module of the core is one of those that moved, or what finds their names."""
    return any(f"{module}.".startswith(f"arbench.{old}.") for old in (*OLD, "moved"))


def module_of(file: Path) -> str:
    """The dotted name of a source file, in the core or in a plugin."""
    root = ROOT if file.is_relative_to(CORE) else file.relative_to(ROOT).parts[0]
    parts = file.relative_to(ROOT / root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports_of_files() -> dict[str, set[str]]:
    """Which modules of the project each one imports, names of the flat door by their homes."""
    files = {
        module_of(file): file
        for folder in (CORE, *PLUGINS)
        for file in folder.rglob("*.py")
        if "templates" not in file.parts
    }
    found: dict[str, set[str]] = {}
    for module, file in files.items():
        targets: set[str] = set()
        for imported, names in imported_modules(file):
            inner = {f"{imported}.{name}" for name in names} & set(files)
            targets |= inner if inner and len(inner) == len(names) else {imported, *inner}
        found[module] = (targets & set(files)) - {module}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_below_it(room: str) -> None:
    below = {*ROOMS[: ROOMS.index(room)]} - STRANGERS.get(room, set())
    wrong = {
        f"{module} imports {other}"
        for module, others in imports_of_files().items()
        if module.startswith("arbench.") and room_of(module) == room and not is_old(module)
        for other in others
        if other.split(".")[0] == "arbench" and room_of(other) not in {room, *below}
    }
    assert not wrong


def test_every_room_has_its_place() -> None:
    core = {module for module in imports_of_files() if module.split(".")[0] == "arbench"}
    assert {room_of(module) for module in core if not is_old(module)} - {""} == set(ROOMS)
    assert {room_of(module) for module in core if is_old(module)} - set(ROOMS) == {
        *("experiment", "publish", "moved")
    }


def test_nothing_imports_an_old_module() -> None:
    users = {
        module for module, others in imports_of_files().items() for other in others if is_old(other)
    }
    assert {module for module in users if not is_old(module)} == set()


def test_an_old_module_knows_the_door_alone() -> None:
    others = {module: others for module, others in imports_of_files().items() if is_old(module)}
    assert others.pop("arbench.moved") == {"arbench"}
    assert {name for names in others.values() for name in names} == {"arbench.moved"}


def test_no_two_files_import_each_other() -> None:
    """Not even lazily, nor for types alone, nor by way of others."""
    left = {module: set(others) for module, others in imports_of_files().items()}
    while left:
        lowest = {module for module, others in left.items() if not others & set(left)}
        assert lowest, f"a circle among {sorted(left)}"
        left = {module: others for module, others in left.items() if module not in lowest}


@pytest.mark.parametrize(
    "folder",
    sorted({file.parent for file in CORE.rglob("*.py")} - {CORE / "cli", CORE / "testing"}),
    ids=lambda folder: str(folder.relative_to(ROOT)),
)
def test_a_folder_holds_what_can_be_seen_at_once(folder: Path) -> None:
    files = {file.name for file in folder.iterdir() if file.is_file()}
    assert len(files - {"__init__.py", "README.md"}) <= MOST_FILES


def test_the_core_imports_no_plugin() -> None:
    wrong = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in CORE.rglob("*.py")
        for module, _ in imported_modules(file)
        if module.startswith("arbench_")
    }
    assert not wrong


@pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)
def test_a_plugin_imports_no_other_plugin(package: Path) -> None:
    wrong = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in package.rglob("*.py")
        for module, _ in imported_modules(file)
        if module.startswith("arbench_") and module.split(".")[0] != package.name
    }
    assert not wrong


PUBLIC = ("arbench", "arbench.art", "arbench.lm_eval", "arbench.networks", "arbench.testing")


def comes_through_the_door(module: str) -> bool:
    """Whether an author of a plugin may import from this module."""
    inner = module.split(".")[0] == "arbench" and module != "arbench"
    return not inner or ".".join(module.split(".")[:2]) in PUBLIC


@pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)
def test_a_plugin_comes_through_the_flat_door(package: Path) -> None:
    wrong = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in package.rglob("*.py")
        for module, _ in imported_modules(file)
        if not comes_through_the_door(module)
    }
    assert not wrong


def test_pages_and_templates_come_through_the_flat_door() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "tasks").rglob("*.md")]
    pages += [*(ROOT / "plugins").rglob("*.md"), *(CORE / "scaffold" / "templates").rglob("*.txt")]
    pages += [*(ROOT / "plugins" / "examples").rglob("*.py")]
    found = {
        (page, module)
        for page in pages
        for module in re.findall(
            r"^\s*(?:from|import) (arbench[\w.]*)", page.read_text(), re.MULTILINE
        )
    }
    assert len(found) > 10
    assert [pair for pair in found if not comes_through_the_door(pair[1])] == []


@pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)
def test_a_plugin_is_registered_by_names_alone(package: Path) -> None:
    imports = {module for module, _ in imported_modules(package / "__init__.py")}
    assert imports <= {"arbench", "__future__", "collections.abc"}


def test_torchvision_is_imported_in_one_place() -> None:
    users = {
        str(file.relative_to(ROOT))
        for root in ("arbench", "plugins", "tasks")
        for file in (ROOT / root).rglob("*.py")
        for module, _ in imported_modules(file)
        if module.split(".")[0] == "torchvision"
    }
    assert users == {"arbench/data/vision.py"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["list", "measurements"],
        ["show", "nade"],
        ["show", "mnist"],
    ],
    ids=" ".join,
)
def test_quick_commands_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from arbench.cli import main\n"
        f"try: code = main({arguments!r})\n"
        "except SystemExit as end: code = end.code\n"
        "assert not code, code\n"
        f"print('HEAVY', sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, arbench; print(sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_nats_become_bits_in_one_place() -> None:
    """A second conversion is a second chance of a wrong one."""
    conversion = re.compile(r"\blog2\(|\blog\(2(\.0)?\)")
    found = {
        str(path.relative_to(ROOT))
        for folder in ("arbench", "plugins", "tasks")
        for path in (ROOT / folder).rglob("*.py")
        if conversion.search(path.read_text())
    }
    assert found == {
        "arbench/probability/bits.py",
        "arbench/testing/numbers.py",  # recomputes what it checks
        "tasks/arbench_toys/parity.py",  # the entropy of a fair coin
    }
