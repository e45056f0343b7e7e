"""Makes arbench importable beside whatever torch is installed, without installing anything.

A folder gets links to the packages of this checkout, laid out as an installation has them, and the
metadata in which plugins are found. Of what arbench needs and this Python lacks, wheels are
unpacked beside them; torch is never among them.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def lay(folder: Path, wheels: Path) -> None:
    """Make arbench and its plugins importable from here on.

    Raises:
        SystemExit: with the packages that are missing, and how to get them.
    """
    site, unpacked = folder / "site", folder / "unpacked"
    for made in (site, unpacked):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
    core = site / "arbench"
    core.mkdir()
    for path in (ROOT / "arbench").iterdir():
        (core / path.name).symlink_to(path)
    for name in ("leaderboards", "zoo"):
        (core / name).symlink_to(ROOT / name)
    for path in [*ROOT.glob("plugins/arbench_*"), *ROOT.glob("tasks/arbench_*")]:
        (site / path.name).symlink_to(path)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    _write_metadata(site, project)
    _unpack(wheels, unpacked)
    # What is installed comes first: a wheel must not take its place.
    sys.path[:0] = [str(site)]
    sys.path.append(str(unpacked))
    if missing := _missing(project["dependencies"]):
        version = ".".join(platform.python_version_tuple()[:2])
        raise SystemExit(
            f"{sys.executable} lacks {', '.join(missing)}. Where there is a network, "
            f"`make gpu-wheels FOR={version}` puts what is needed into {wheels}; bring that folder "
            "here and run this again."
        )


def fetch_wheels(wheels: Path, python_version: str) -> None:
    """Download what arbench needs beside torch, in the versions of constraints.txt.

    Args:
        wheels: the folder that they go to.
        python_version: such as "3.12", of the machine that they are for, which is one like this.
    """
    from packaging.requirements import Requirement  # what has arbench has this

    names, todo = set(), [Requirement("arbench")]
    while todo:
        name = todo.pop().name
        if name in names or name in ("torch", "torchvision"):
            continue
        names.add(name)
        needed = map(Requirement, metadata.requires(name) or ())
        todo += [each for each in needed if not each.marker or each.marker.evaluate({"extra": ""})]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(wheels),
    ]
    command += ["--only-binary", ":all:", "--python-version", python_version]
    command += ["--constraint", str(ROOT / "constraints.txt"), *sorted(names - {"arbench"})]
    raise SystemExit(subprocess.call(command))


def _write_metadata(site: Path, project: dict) -> None:
    version = re.search('"(.+)"', (ROOT / "arbench" / "version.py").read_text().split("\n", 1)[1])
    info = site / f"arbench-{version[1]}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: arbench\nVersion: {version[1]}\n"
    needed = "".join(f"Requires-Dist: {line}\n" for line in project["dependencies"])
    (info / "METADATA").write_text(head + needed)
    points = "".join(f"{k} = {v}\n" for k, v in project["entry-points"]["arbench"].items())
    (info / "entry_points.txt").write_text(f"[arbench]\n{points}")


def _unpack(wheels: Path, unpacked: Path) -> None:
    """Unpack wheels, but for those of packages that are installed."""
    for wheel in sorted(wheels.glob("*.whl")):
        if _version(wheel.name.split("-")[0]) is None:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
    shutil.rmtree(unpacked / "torch", ignore_errors=True)


def _missing(requirements: list[str]) -> list[str]:
    """The names, in alphabetical order, of what is needed and not there, and of what that needs."""
    missing, seen = set(), set()
    todo = [_name(line) for line in requirements]
    while todo:
        name = todo.pop()
        if name in seen or name == "torchvision":  # MNIST's files need none
            continue
        seen.add(name)
        if _version(name) is None:
            missing.add(name)
        elif name != "torch":
            needed = metadata.requires(name) or ()
            todo += [_name(line) for line in needed if ";" not in line]
    return sorted(missing)


def _name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
