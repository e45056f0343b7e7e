"""Run the main job and fast tests with the lowest and the newest versions of all dependencies.

    python scripts/versions.py [lowest] [newest] [--python PYTHON] [--with REQUIREMENT]

Each end gets an environment of its own, made by `uv`, which has to be on the path or beside this
Python. `lowest` takes each dependency in the lowest version that pyproject.toml allows, `newest` in
the newest that there is. `--with torch==2.11` asks for a version in between. On Linux torch then
comes with CUDA: 5 GB, unless `UV_TORCH_BACKEND=cpu` is set and PyTorch's own index can be reached.

The main job trains NADE on mnist-mini. The table says what its weights hash to: equal hashes are
equal bytes. It holds on one machine alone, since another processor may round otherwise. The exit
code is 1 if a job or a test fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
# torchvision has no bound of its own: each release names the one torch that it is made for, but for
# the first, which name none, and would be the lowest.
LOWEST_TORCHVISION = "torchvision>=0.24"
TESTS = ("hypothesis", "jsonschema", "pytest>=9.0", "pytest-timeout", "pytest-benchmark")
SELECTION = (
    *("tests/hub/test_round_trip.py", "tests/hub/test_card.py", "tests/files/test_http_client.py"),
    *("tests/data/test_sources.py", "tests/data/test_vision.py", "tests/boards/test_ranking.py"),
    *("tests/probability/test_heads.py", "tests/probability/test_precision.py"),
    "tests/runs/test_record.py",
)
SHOWN = ("torch", "torchvision", "huggingface_hub", "numpy", "pandas", "pydantic")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("ends", nargs="*", choices=[*RESOLUTIONS, []], help="default: both")
    parser.add_argument("--with", action="append", default=[], dest="wanted", metavar="REQUIREMENT")
    parser.add_argument("--python", default=sys.executable, help="default: this one")
    parser.add_argument("--folder", type=Path, help="keep the environments there")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="arbench-versions-"))
    rows = []
    try:
        for end in arguments.ends or RESOLUTIONS:
            rows.append(_try(end, folder / end, arguments.python, arguments.wanted))
            _show(rows)
            if arguments.folder is None:  # two of them with CUDA need 10 GB
                shutil.rmtree(folder / end)
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if all(row["job"] == row["tests"].split()[0] == "passed" for row in rows) else 1


def _try(end: str, folder: Path, base: str, wanted: list[str]) -> dict[str, str]:
    """What came of one end: versions, whether job and tests passed, and the weights' sha256."""
    python = folder / "venv" / "bin" / "python"
    _uv("venv", "--clear", "--python", base, folder / "venv")
    pins = folder / "pins.txt"
    pins.write_text(f"{LOWEST_TORCHVISION}\n" if end == "lowest" else "")
    install = ("pip", "install", "--python", python, "--constraints", pins)
    _uv(*install, "--resolution", RESOLUTIONS[end], "-e", ROOT, *wanted)
    # What tests need must not move what is tried.
    frozen = _uv("pip", "freeze", "--exclude-editable", "--python", python, quiet=True)
    pins.write_text(frozen)
    _uv(*install, *TESTS)
    versions = {
        re.sub("[-_.]+", "_", name).lower(): version
        for name, _, version in (line.partition("==") for line in frozen.splitlines())
    }
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    job = _in(
        python, "-m", "arbench", "run", "--task", "mnist-mini", "--model", "nade", "--out", run
    )
    tests = _in(python, "-m", "pytest", "-q", "-m", "not slow", *SELECTION)
    row = {"end": end, "python": _version(python)}
    row |= {name: versions.get(name, "-") for name in SHOWN}
    row |= {"job": "passed" if job == 0 else "FAILED", "nats": "-", "weights": "-"}
    if job == 0:
        record = json.loads((run / "record.json").read_text())
        row["nats"] = f"{record['measurements']['likelihood']['test']['nats_per_event']:.6f}"
        weights = (run / "model.safetensors").read_bytes()
        row["weights"] = hashlib.sha256(weights).hexdigest()[:12]
    return row | {"tests": "passed" if tests == 0 else "FAILED"}


def _version(python: Path) -> str:
    """What a Python says of its version."""
    return subprocess.check_output([python, "-V"], text=True).split()[1]


def _uv(*arguments: object, quiet: bool = False) -> str:
    """What uv prints; its progress goes to the terminal."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise SystemExit("uv is missing: pip install uv")
    command = [uv, *map(str, arguments), *(["--quiet"] if quiet else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise SystemExit(f"uv could not do that: {' '.join(command)}")
    return done.stdout


def _in(python: Path, *arguments: object) -> int:
    """The exit code of a Python of an environment, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    print("$", python, *arguments, flush=True)
    return subprocess.run([python, *map(str, arguments)], cwd=ROOT, env=environment).returncode


def _show(rows: list[dict[str, str]]) -> None:
    """A table of what was tried, an end a column."""
    table = Table("", *(row["end"] for row in rows))
    for name in rows[0]:
        if name != "end":
            table.add_row(name, *(row[name] for row in rows))
    Console(width=100).print(table)


if __name__ == "__main__":
    sys.exit(main())
