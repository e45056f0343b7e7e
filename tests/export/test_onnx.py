"""A model as an ONNX graph: onnxruntime gives the log-probabilities of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch

import arbench
from arbench.cli import main
from arbench.errors import ConfigError, RunError
from arbench.export import onnx as module
from arbench.export.onnx import export_onnx
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout


def model(name: str, order: bool = False) -> Any:
    spec = EventSpec((1, 3, 3), Discrete(2))
    layout = Layout(spec, order=torch.randperm(9).tolist()) if order else Layout(spec)
    made = arbench.untrained(name, layout, **({"hidden": 7} if name == "nade" else {}))
    for parameter in made.network.parameters():
        torch.nn.init.normal_(parameter)
    return made


def run(file: Path, events: torch.Tensor) -> list[torch.Tensor]:
    session = onnxruntime.InferenceSession(str(file))
    return [torch.from_numpy(out) for out in session.run(None, {"events": events.numpy()})]


def test_any_batch_has_the_log_probabilities_of_torch(tmp_path: Path) -> None:
    density = model("fvsbn", order=True)
    file, fixed = export_onnx(density, tmp_path / "new", name="toys/fvsbn")
    assert (file.name, fixed) == ("toys-fvsbn.onnx", None)
    events = torch.randint(0, 2, (11, 1, 3, 3))
    params, site_log_probs = run(file, events)
    assert params.shape[:2] == (11, 9)
    expected = density.log_prob(events).detach()
    assert torch.allclose(site_log_probs.double().sum(1), expected.double(), atol=1e-4)


def test_a_fixed_batch_is_said(tmp_path: Path) -> None:
    density = model("nade")
    kernel = density.network.forward_kernel = density.network.forward_kernels[-1]
    assert kernel == "compiled"  # which no tracer follows
    file, fixed = export_onnx(density, tmp_path, name="toys/nade")
    assert fixed == 1
    assert density.network.forward_kernel == kernel
    event = torch.randint(0, 2, (1, 1, 3, 3))
    _, site_log_probs = run(file, event)
    assert float(site_log_probs.sum()) == pytest.approx(float(density.log_prob(event)), abs=1e-4)


def test_a_graph_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = module._exported

    def of_another(graph: Any, events: Any, *, dynamic: bool) -> bytes:
        return exported(module._Graph(model("fvsbn")), events, dynamic=dynamic)

    monkeypatch.setattr(module, "_exported", of_another)
    with pytest.raises(
        RunError, match=r"params of the exported graph differ by .* at a batch of 1"
    ):
        export_onnx(model("fvsbn"), tmp_path, name="toys/fvsbn")
    assert [*tmp_path.iterdir()] == []


def test_what_cannot_be_exported_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="is a Ensemble; only a single network"):
        export_onnx(Ensemble([model("fvsbn"), model("fvsbn")]), tmp_path, name="toys/two")
    monkeypatch.setattr(module, "_NEEDS", ("onnx", "not_there_at_all"))
    with pytest.raises(ConfigError, match=r"not_there_at_all missing; .*arbench\[onnx\]"):
        export_onnx(model("fvsbn"), tmp_path, name="toys/fvsbn")


def test_the_command_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "--task", "toy-markov", "--model", "fvsbn", "--limit", "20", "--epochs", "1"]
    assert main([*command, "--out", str(tmp_path / "run"), "--device", "cpu"]) == 0
    capsys.readouterr()
    asked = ["export", str(tmp_path / "run"), "--format", "onnx", "--out", str(tmp_path / "graphs")]
    assert main(asked) == 0
    file = Path(capsys.readouterr().out.strip())
    assert file.parent == tmp_path / "graphs"
    events = arbench.sample(str(tmp_path / "run"), 4)
    total = run(file, events)[1].double().sum(1)
    assert torch.allclose(
        total, arbench.load(tmp_path / "run").log_prob(events).double(), atol=1e-4
    )
