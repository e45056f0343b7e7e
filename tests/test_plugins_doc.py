"""`docs/plugins.md`, followed to the letter: a third party's package, installed and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def _run(*arguments: str, folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the page's package is installed into, as pip does it."""
    source = tmp_path_factory.mktemp("source")
    package = source / "arbench_above"
    (package / "recipes").mkdir(parents=True)
    project, recipe = _blocks("toml")
    init, network, *_ = _blocks("python")
    (source / "pyproject.toml").write_text(project)
    (package / "__init__.py").write_text(init)
    (package / "network.py").write_text(network)
    (package / "recipes" / "default.toml").write_text(recipe)
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return target


def test_the_model_is_listed_with_its_settings(site: Path, tmp_path: Path) -> None:
    shown = _run("-m", "arbench", "show", "above", folder=tmp_path, site=site)
    assert shown.returncode == 0, shown.stderr
    assert "scale" in shown.stdout
    assert "arbench-above" in shown.stdout


def test_the_model_runs_and_beats_independent_pixels(site: Path, tmp_path: Path) -> None:
    command = ["-m", "arbench", "run", "--task", "mnist-mini", "--device", "cpu", "--json"]
    nats = {}
    for model in ("above", "bernoulli"):
        done = _run(*command, "--model", model, folder=tmp_path, site=site)
        assert done.returncode == 0, done.stderr
        record = json.loads(done.stdout)
        nats[model] = record["nll"]["test"]["nats_per_event"]
    assert nats["above"] < nats["bernoulli"] - 20


def test_the_checks_pass_but_for_the_one_that_the_page_names(site: Path, tmp_path: Path) -> None:
    one_line = _blocks("python")[2]
    (tmp_path / "test_above.py").write_text(one_line)
    done = _run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path, site=site)
    failed = set(re.findall(r"^FAILED .*\[(.*?)\]", done.stdout, re.MULTILINE))
    assert failed, done.stdout
    assert all("influence" in name for name in failed), done.stdout
    declaration = _blocks("python")[3]
    declared = f"{one_line.splitlines()[0]}\n{one_line.splitlines()[1]}\n"
    declared += f"\n\nclass Declared(Above):\n    {declaration}\n"
    declared += "\ntest_above = conformance(Declared)\n"
    (tmp_path / "test_above.py").write_text(declared)
    done = _run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path, site=site)
    assert done.returncode == 0, done.stdout
