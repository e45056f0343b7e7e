"""Imports run one way, plugins stand alone, and the quick commands stay quick."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import arbench

ROOT = Path(__file__).parent.parent
CORE = ROOT / "arbench"
PLUGINS = [
    package
    for root in ("plugins", "tasks")
    for package in sorted((ROOT / root).glob("arbench_*"))
    if (package / "__init__.py").exists()
]

# room -> the other rooms that it may import from. "" is the package itself: `__version__` is there.
ALLOWED = {
    "": {"api", "registry"},
    "errors": set(),
    "probability": {"errors"},
    "networks": {"probability"},
    "registry": {"errors"},
    "experiment": {"", "errors", "probability", "registry"},
    "testing": {"", "errors", "probability", "registry", "experiment"},
    "publish": {"", "errors", "probability", "registry", "experiment"},
    "scaffold": {"", "errors", "registry"},
    "api": {"errors", "probability", "registry", "experiment", "publish"},
    "cli": {
        "",
        "api",
        "errors",
        "probability",
        "registry",
        "experiment",
        "testing",
        "publish",
        "scaffold",
    },
    "__main__": {"cli"},
}
HEAVY = ("torch", "torchvision", "pandas", "pydantic", "accelerate", "huggingface_hub")


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


def rooms_imported(file: Path) -> set[str]:
    """The rooms of the core that a file imports from."""
    rooms = set()
    for module, names in imported_modules(file):
        head, *rest = module.split(".")
        if head != "arbench":
            continue
        if rest:
            rooms.add(rest[0])
        else:  # `from arbench import name`: a module, a lazy name, or the package's own
            homes = (arbench._HOMES.get(name, f"arbench.{name}").split(".")[1] for name in names)
            rooms.update(home if home in ALLOWED else "" for home in homes)
            rooms.update([] if names else [""])
    return rooms


def room_of(file: Path) -> str:
    """The room that a file of the core is in."""
    room = file.relative_to(CORE).parts[0].removesuffix(".py")
    return "" if room == "__init__" else room


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_from_rooms_below_it(room: str) -> None:
    wrong = {
        f"{file.relative_to(ROOT)} imports arbench.{other}"
        for file in CORE.rglob("*.py")
        if room_of(file) == room
        for other in rooms_imported(file) - {room} - ALLOWED[room]
    }
    assert not wrong


def test_every_room_has_its_place() -> None:
    assert {room_of(file) for file in CORE.rglob("*.py")} <= set(ALLOWED)


def test_the_rule_has_no_circle() -> None:
    below: dict[str, set[str]] = {room: set(others) - {""} for room, others in ALLOWED.items()}
    while below:
        lowest = {room for room, others in below.items() if not others & set(below)}
        assert lowest, f"a circle among {sorted(below)}"
        below = {room: others for room, others in below.items() if room not in lowest}


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
    assert users == {"arbench/experiment/vision.py"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["list"], ["show", "nade"], ["show", "mnist"]],
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
        "arbench/probability/metrics.py",  # the width of a bin
        "arbench/testing/numbers.py",  # recomputes what it checks
        "tasks/arbench_toys/parity.py",  # the entropy of a fair coin
    }
