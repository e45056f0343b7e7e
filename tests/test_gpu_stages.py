"""`make gpu` without a GPU: parts and their archive, what a wrong device looks like, the report."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import arbench
from arbench.probability.heads.natural import natural_head
from arbench.probability.model import Model

GPU = Path(__file__).parent.parent / "scripts" / "gpu"
CPU = torch.device("cpu")


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules of scripts/gpu."""
    monkeypatch.syspath_prepend(str(GPU))
    import conformance
    import parts
    import report

    return SimpleNamespace(conformance=conformance, parts=parts, report=report)


def test_what_was_made_survives_a_part_that_fails_and_is_not_made_again(
    stages: SimpleNamespace, tmp_path: Path
) -> None:
    made = []

    def rows(name: str) -> list[dict[str, str]]:
        made.append(name)
        if name == "bad":
            raise ValueError("no such kernel")
        return [{"name": name}]

    for minutes in (1, 1, 0):
        parts = stages.parts.Parts("speed", tmp_path / "results", tmp_path / "a.zip", CPU, minutes)
        names = ("good", "bad") if len(made) < 2 else ("good", "bad", f"new/{minutes}")
        for name in names:
            parts.make(name, lambda name=name: rows(name))
    assert made == ["good", "bad", "new/1"]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        found = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    assert found["speed/good.json"]["rows"] == [{"name": "good"}]
    assert found["speed/bad.json"]["failed"] == "ValueError: no such kernel"
    assert found.keys() == {"speed/good.json", "speed/bad.json", "speed/new_1.json"}


class Drifting(nn.Module):
    """Its bias is no tensor, so a test can move it as another device might."""

    def __init__(self, drift: float) -> None:
        super().__init__()
        self.drift, self.scale = drift, nn.Parameter(torch.zeros(1))

    def forward(self, sites: Tensor) -> Tensor:
        moved = sites.cumsum(1).roll(1, 1) * self.scale
        return moved.to(self.scale.dtype) + self.drift


@pytest.mark.parametrize(("drift", "fault"), [(0.0, ""), (0.5, "differ")])
def test_a_device_that_computes_something_else_is_told(
    stages: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, drift: float, fault: str
) -> None:
    layout = arbench.Layout(arbench.EventSpec((6,), arbench.Discrete(2)))
    model = Model(Drifting(0.1), natural_head(layout), layout).double().eval()
    original = Model.to

    def to(self: Model, *where: object) -> Model:
        if CPU in where:  # the copy on the device
            self.network.drift += drift
        return original(self, *where)

    monkeypatch.setattr(Model, "to", to)
    events = torch.zeros(64, 6, dtype=torch.int64)
    found = stages.conformance.compare(model, events, CPU, torch.float64)
    assert fault in found["fault"]
    assert bool(found["fault"]) == bool(drift)
    assert (found["samplers"]["whole"] > 0) == bool(drift)


def test_a_stage_runs_without_an_installation_and_becomes_a_table(
    stages: SimpleNamespace, tmp_path: Path
) -> None:
    command = [sys.executable, GPU, "conformance", "--folder", tmp_path, "--only", "bernoulli"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        (name,) = archive.namelist()
        part = json.loads(archive.read(name))
    assert part["small"] is not torch.cuda.is_available()
    (line,) = (
        line for line in stages.report.tables([part]).splitlines() if line.startswith("| bern")
    )
    assert line.split(" | ")[:4] == ["| bernoulli", "passed", "0", "0 of 192"]
