"""The example distribution, built and installed as a third party would."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

Shell = Callable[..., subprocess.CompletedProcess[str]]
SOURCE = Path(__file__).parents[2] / "plugins" / "examples" / "arbench-example"


@pytest.fixture(scope="module")
def installed(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell whose environment has the example, built from a copy of its sources."""
    copy = tmp_path_factory.mktemp("source") / "arbench-example"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    done = shell("pip install --quiet .", copy)
    assert done.returncode == 0, done.stderr
    return shell


def test_arbench_itself_does_not_bring_it() -> None:
    files = [str(file) for file in metadata.files("arbench") or []]
    assert not [file for file in files if "example" in file]
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.distribution("arbench-example")


def test_all_that_it_adds_is_listed(installed: Shell) -> None:
    done = installed("arbench list plugins --json", ARBENCH_STRICT_PLUGINS="1")
    assert done.returncode == 0, done.stderr
    rows = {row["plugin"]: row for row in json.loads(done.stdout)["plugins"]}
    assert rows["arbench_example"] == {
        "plugin": "arbench_example",
        "distribution": "arbench-example",
        "version": "0.1.0",
        "status": "loaded",
        "offers": "model example-chain; task example-clock; command perplexity",
        "problem": "",
    }


def test_the_readmes_commands_work_and_the_chain_learns_the_clock(
    installed: Shell, tmp_path: Path
) -> None:
    readme = (SOURCE / "README.md").read_text()
    *_, run, perplexity = readme.partition("```sh\n")[2].partition("```")[0].splitlines()
    done = installed(f"{run} --device cpu --json", tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    gap = record["measurements"]["truth"]["gap_nats_per_event"]
    assert abs(gap) < 0.05
    shown = installed(perplexity, tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert float(shown.stdout) == pytest.approx(
        2 ** record["measurements"]["likelihood"]["test"]["bits_per_dim"], 1e-3
    )


def test_its_own_tests_pass(installed: Shell) -> None:
    done = installed(f"pytest -q -p no:cacheprovider '{SOURCE / 'tests'}'")
    assert done.returncode == 0, done.stdout


def test_it_can_be_left_out(installed: Shell) -> None:
    done = installed("arbench perplexity x", ARBENCH_PLUGINS="arbench")
    assert done.returncode == 2
    assert "no command is called 'perplexity'" in done.stderr
