"""`arbench new`: what it writes installs, passes its own tests and runs at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from arbench.cli import main
from arbench.errors import ConfigError
from arbench.scaffold import projects
from arbench.scaffold.projects import KINDS, Kind, Project, write_project

Shell = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]

# kind -> a name with everything in it that a name may have
NAMES: dict[Kind, str] = {
    "model": "2nd.model_x-1",
    "task": "my.task",
    "head": "my-head",
    "measurement": "3rd_tail",
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_installs_passes_its_tests_and_runs(kind: Kind, shell: Shell) -> None:
    project = Project(kind, NAMES[kind])
    written = shell(f"arbench new {kind} {project.name}")
    assert written.returncode == 0, written.stderr
    *_, install, test, run = written.stdout.splitlines()
    installed = shell(f"{install} --quiet")
    assert installed.returncode == 0, installed.stderr
    tested = shell(f"{test} -q -p no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
    listed = json.loads(shell(f"arbench list {kind}s --json").stdout)[f"{kind}s"]
    assert {row[kind]: row["plugin"] for row in listed}[project.name] == project.distribution
    done = shell(f"{run} --epochs 1 --limit 100 --device cpu --json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    used = {"model": record["model"]["name"], "task": record["task"]["name"]}
    used["head"] = record["model"]["head"]
    assert project.name in (used.get(kind), *record["measurements"])
    assert record["measurements"]["likelihood"]["test"]["num_events"] == 100


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_written_as_arbench_itself_is(kind: Kind, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    files = write_project(Project(kind, "fourteen-chars"), folder)
    assert sorted(files) == sorted(
        file.relative_to(folder) for file in folder.rglob("*") if file.is_file()
    )
    assert not [file for file in files if "$" in (folder / file).read_text()]
    for arguments in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--config", ROOT / "pyproject.toml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "package", "distribution", "class_name"),
    [
        ("above", "arbench_above", "arbench-above", "AboveNetwork"),
        ("a.b_c-d", "arbench_a_b_c_d", "arbench-a-b-c-d", "ABCDNetwork"),
        ("3d-", "arbench_3d", "arbench-3d", "N3dNetwork"),
        ("none", "arbench_none", "arbench-none", "NoneNetwork"),
    ],
)
def test_names_are_those_of_packages_and_classes(
    name: str, package: str, distribution: str, class_name: str
) -> None:
    project = Project("model", name)
    assert (project.package, project.distribution) == (package, distribution)
    assert project.class_name == class_name


@pytest.mark.parametrize("name", ["Above", "", "../x", "-x", "a b", "x" * 65, "a/b", "é", "x\0"])
def test_a_name_that_nobody_could_register_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no name for a model"):
        Project("model", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("model", "nade", "the model name 'nade' is taken by arbench 0"),
        ("model", "pixelcnn++", "no name for a model"),
        ("task", "mnist", "the task name 'mnist' is taken by arbench 0"),
        ("head", "gaussian", "the head name 'gaussian' is taken by arbench 0"),
        ("model", "mnist", "a package arbench_mnist is here already"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    kind: Kind, name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", kind, name, "--out", str(tmp_path / "x")]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    for make in (Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")):
        folder = tmp_path / "taken"
        make(folder)
        with pytest.raises(ConfigError, match=r"exists.*choose another name"):
            write_project(Project("model", "above"), folder)
        assert list(tmp_path.iterdir()) == [folder]
        folder.rmdir() if folder.is_dir() else folder.unlink()


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = Path.write_text, []

    def full_disk(path: Path, *arguments: str, **options: str) -> int:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(ConfigError, match="No space left on device"):
        write_project(Project("model", "above"), tmp_path / "new")
    assert len(written) == 3
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.*cannot be written"):
        write_project(Project("model", "above"), tmp_path / "nowhere" / "new")


def test_the_project_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "like").mkdir()
    write_project(Project("head", "logistic"), tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "like").stat().st_mode


def test_it_starts_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from arbench.cli import main; assert main(['new', 'model', 'above']) == 0\n"
        "print(*{'torch', 'pydantic', 'pandas', 'numpy'} & {*sys.modules}, file=sys.stderr, end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_kind_has_templates() -> None:
    folder = Path(projects.__file__).parent / "templates"
    assert sorted(os.listdir(folder)) == sorted(KINDS)
