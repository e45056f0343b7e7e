"""A training that cannot go on: a loss that is no number, memory that is not there."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from arbench.boards.results import read_runs
from arbench.cli import main

Warm = Callable[..., list[str]]

ARGUMENTS = ["run", "--task", "toy-markov", "--limit", "1000", "--device", "cpu"]
NETWORK = """
import torch
class Net(torch.nn.Module):
    def __init__(self, layout, num_params, *, at: int = 3, value: str = "nothing"):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(layout.num_sites, num_params))
        self.at, self.value, self.calls = at, value, 0
    def forward(self, sites):
        self.calls += self.training
        wrong = self.calls == self.at and self.training
        if self.value == "validation":
            wrong = self.calls >= self.at and not self.training
        factor = float("inf" if self.value == "infinite" else "nan") if wrong else 1.0
        return (factor * (self.logits + 1e-3)).expand(len(sites), -1, -1)
class Greedy(Net):
    def forward(self, sites):
        self.calls += self.training
        if self.calls == self.at:
            if self.value == "cuda":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            if self.value == "python":
                raise MemoryError
            torch.ones(1 << (44 if self.value == "host" else 28))
        return self.logits.expand(len(sites), -1, -1)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A distribution with a model that turns wrong at its third training step."""
    target = tmp_path / "site"
    info = target / "arbench_nan-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: arbench-nan\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[arbench]\narbench_nan = arbench_nan\n")
    (target / "arbench_nan.py").write_text(
        "from arbench import ModelEntry, hookimpl\n"
        "@hookimpl\n"
        "def arbench_register_models():\n"
        "    return [ModelEntry(name='nan', network='nan_network:Net'),\n"
        "            ModelEntry(name='greedy', network='nan_network:Greedy')]\n"
    )
    (target / "nan_network.py").write_text(NETWORK)
    return target


def run(python: list[str], site: Path, *arguments: str, prelude: str = "") -> tuple[int, str]:
    """The exit code of a run in a process of its own, and what it said."""
    program = f"{prelude}\nimport sys\nfrom arbench.cli import main\nsys.exit(main())"
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    done = subprocess.run(
        [*python, "-c", program, *ARGUMENTS, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nothing", "step 2: loss nan nats/dim, gradient norm nan"),
        ("infinite", "step 2: loss "),
        ("validation", "has log-probability nan: arbench reports only finite numbers"),
    ],
)
def test_what_is_not_finite_stops_the_run_and_is_on_no_board(
    tmp_path: Path,
    site: Path,
    value: str,
    said: str,
    warm: Warm,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "runs" / "run"
    settings = ["--set", f"value={value}", "--set", "evaluations=20"]
    code, errors = run(warm(), site, "--model", "nan", *settings, "--out", str(folder))
    assert code == 1
    assert said in errors
    if value != "validation":
        assert "batch 2 of its epoch" in errors
    record = json.loads((folder / "record.json").read_text())
    assert record["training"]["status"] == "diverged"
    assert record["measurements"] == {}
    assert record["sha256"]["weights"] is None
    assert not (folder / "model.safetensors").exists()
    found, left_out = read_runs(tmp_path / "runs")
    assert found == []
    assert "only finished runs on the whole data stand on boards" in left_out[0]
    assert main(["push", str(folder), "--board", "org/board"]) == 2
    assert "only finished runs" in capsys.readouterr().err


LITTLE = f"""
import resource, arbench.runs.experiment
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * {resource.getpagesize()} + (1 << 29)
resource.setrlimit(resource.RLIMIT_AS, (limit, {resource.RLIM_INFINITY}))
"""


def test_weights_that_no_memory_holds_are_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--set", f"hidden={1 << 20},{1 << 20}", "--large", "--out", str(tmp_path / "run")]
    assert main(["run", "--task", "toy-parity", "--model", "made", *sizes]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "made on toy-parity: its weights need more memory than there is" in error


@pytest.mark.parametrize("value", ["host", "limit", "cuda", "python"])
def test_running_out_of_memory_names_the_batch_size(
    tmp_path: Path, site: Path, value: str, warm: Warm
) -> None:
    """Refused by the system, for its size or for a limit, by the accelerator, and by Python."""
    folder = tmp_path / "run"
    settings = ["--set", f"value={value}", "--set", "checkpoint_seconds=0"]
    python, prelude = ([sys.executable], LITTLE) if value == "limit" else (warm(), "")
    arguments = ["--model", "greedy", *settings, "--out", str(folder)]
    code, errors = run(python, site, *arguments, prelude=prelude)
    assert code == 1
    assert "out of memory with batch_size 100" in errors
    assert "--set batch_size=50" in errors
    config = json.loads((folder / "config.json").read_text())
    assert config["recipe"]["training"]["batch_size"] == 100  # it is never changed unasked
