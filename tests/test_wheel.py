"""What the wheel holds: everything that the package needs, and nothing else."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
# source folder -> where it lies in the wheel
HOMES = {
    "arbench": "arbench",
    "plugins": "",
    "tasks": "",
    "leaderboards": "arbench/leaderboards",
    "zoo": "arbench/zoo",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for name in [*HOMES, "tests"]:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without any download."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(out), str(source)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.glob("arbench-*.whl")
    return zipfile.ZipFile(file)


@pytest.fixture(scope="module")
def contents(wheel: zipfile.ZipFile) -> set[str]:
    """The wheel's files, without its metadata."""
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def test_every_source_file_is_in_the_wheel_and_nothing_else(
    source: Path, contents: set[str]
) -> None:
    expected = {
        str(PurePosixPath(home, file.relative_to(source / folder).as_posix()))
        for folder, home in HOMES.items()
        for file in (source / folder).rglob("*")
        if file.is_file() and source / "plugins" / "examples" not in file.parents
    }
    assert contents == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "arbench/py.typed",
        "arbench/leaderboards/published.tsv",
        "arbench/scaffold/templates/model/package/network.py.txt",
        "arbench/zoo/index.json",
        "arbench/zoo/mnist-mini/nade/model.safetensors",
        "arbench/zoo/mnist-mini/nade/log_probs.safetensors",
        "arbench_nade/recipes/*.toml",
        "arbench_nade/README.md",
        "arbench_mnist/README.md",
        "arbench_mnist/data/*",
    ],
)
def test_the_wheel_holds_each_kind_of_file(contents: set[str], pattern: str) -> None:
    assert any(PurePosixPath(name).match(pattern) for name in contents)


def test_the_wheel_is_small_enough_to_be_fetched_in_passing(wheel: zipfile.ZipFile) -> None:
    # 29 MB of it are the weights of the zoo; a kept result adds 25 kB.
    assert Path(str(wheel.filename)).stat().st_size < 38e6


def test_a_checkout_is_small_enough_to_be_sent_to_a_lent_machine() -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("this is no git checkout, so nothing is tracked")
    files = [ROOT / name for name in done.stdout.split("\0") if (ROOT / name).is_file()]
    assert sum(file.stat().st_size for file in files) < 48e6


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "zoo"],
        ["sample", "mnist/nade", "-n", "64", "--out", "grid.png"],
        ["verify", "mnist-mini/nade"],
    ],
    ids=" ".join,
)
def test_the_zoo_works_from_the_wheel_without_a_network(
    wheel: zipfile.ZipFile, tmp_path: Path, arguments: list[str]
) -> None:
    wheel.extractall(tmp_path / "site")
    code = (
        "import socket, sys; socket.socket.connect = None; from arbench.cli import main; "
        "import arbench; assert 'site' in arbench.__file__; sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    environment.pop("ARBENCH_DATA", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "grid.png").exists() == ("sample" in arguments)


def test_nothing_of_the_tests_is_in_the_wheel(contents: set[str]) -> None:
    ours = {name for name in contents if not name.startswith("arbench/scaffold/templates/")}
    assert not {name for name in ours if "test_" in name or name.startswith("tests/")}


def test_bundled_data_have_a_licence_beside_them(contents: set[str]) -> None:
    bundled = {n for n in contents if "/data/" in n and not n.startswith("arbench/data/")}
    folders = {PurePosixPath(name).parent for name in bundled}
    licensed = {PurePosixPath(n).parent for n in contents if "LICEN" in PurePosixPath(n).name}
    assert {folder for folder in folders if folder.name == "data"} <= licensed


def test_every_plugin_has_a_readme(contents: set[str]) -> None:
    packages = {name.split("/")[0] for name in contents} - {"arbench"}
    assert {package for package in packages if f"{package}/README.md" not in contents} == set()


def test_licence_and_notice_travel_along(wheel: zipfile.ZipFile) -> None:
    metadata = {name.split("/")[-1] for name in wheel.namelist() if ".dist-info/" in name}
    assert {"LICENSE", "NOTICE"} <= metadata


def test_entry_points_are_the_plugins(wheel: zipfile.ZipFile, contents: set[str]) -> None:
    (name,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(name).decode())
    assert dict(parser["console_scripts"]) == {"arbench": "arbench.cli:main"}
    plugins = {name.split("/")[0] for name in contents} - {"arbench"}
    # The plugins inside the package itself.
    verbs = {
        "arbench_launchers": "arbench.runs.pool.builtin",
        "arbench_measurements": "arbench.measure.builtin",
        "arbench_verbs": "arbench.cli.verbs",
    }
    assert dict(parser["arbench"]) == {plugin: plugin for plugin in plugins} | verbs
