"""Models of other libraries on our tasks: the number is the one that their own library computes."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import arbench
from arbench.data.tasks import Task
from arbench.data.vision import load_torchvision
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.runs.record.record import Record
from arbench.testing.conformance import require
from arbench.testing.foreign import check_foreign
from arbench.testing.interactions import interactions, pairs_of_dims

MISSING = "install the extra `foreign`"


@pytest.fixture(scope="module")
def zuko() -> ModuleType:
    return pytest.importorskip("zuko", reason=MISSING)


@pytest.fixture(scope="module")
def transformers() -> ModuleType:
    load_torchvision()  # transformers imports it too, and cannot mend it beside a CPU torch
    return pytest.importorskip("transformers", reason=MISSING)


class Gpt2(nn.Module):
    """A GPT-2 over an alphabet: symbol 0 stands before the first one, as it ends a name."""

    def __init__(self, transformers: ModuleType, spec: EventSpec) -> None:
        super().__init__()
        assert isinstance(spec.domain, Discrete)
        torch.manual_seed(0)
        self.length = spec.num_dims
        self.gpt = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=spec.domain.size,
                n_positions=self.length + 1,
                n_embd=16,
                n_layer=1,
                n_head=2,
                initializer_range=0.5,  # far from uniform, so that a wrong shift would show
                bos_token_id=0,
                eos_token_id=None,
            )
        ).double()

    def log_prob(self, x: Tensor, scored: Tensor | None = None) -> Tensor:
        logits = self.gpt(nn.functional.pad(x[:, :-1], (1, 0))).logits
        each = logits.log_softmax(-1).gather(-1, x.unsqueeze(-1)).squeeze(-1)
        return (each if scored is None else each * scored).sum(1)

    def sample(self, n: int) -> Tensor:
        x = torch.zeros(n, 1, dtype=torch.long)
        for _ in range(self.length):
            probs = self.gpt(x).logits[:, -1].softmax(-1)
            x = torch.cat([x, torch.multinomial(probs, 1)], 1)
        return x[:, 1:]


def total_of_library(model: Gpt2, task: Task, limit: int) -> tuple[float, int]:
    """Nats and scored dims by the library's own loss, which shifts and masks labels itself."""
    split = task.load("test").first(limit)
    total, count = 0.0, 0
    for index in range(0, len(split), 25):
        part = nn.functional.pad(split.events[index : index + 25].long(), (1, 0))
        labels = part.clone()
        if split.scored is not None:
            labels[:, 1:][~split.scored[index : index + 25]] = -100
        num_scored = int((labels[:, 1:] != -100).sum())
        with torch.no_grad():
            loss = model.gpt(input_ids=part, labels=labels).loss
        total += loss.double().item() * num_scored
        count += num_scored
    return total, count


def evaluated(density: arbench.ForeignDensity, task: Any, out: Path, limit: int) -> Record:
    run = arbench.evaluate_density(density, task, name="peer", limit=limit, out=out)
    return Record.read(run.path / "record.json")


def test_a_flow_of_zuko(zuko: ModuleType, tmp_path: Path) -> None:
    task = arbench.open_task("toy-ar1")
    torch.manual_seed(0)
    flow = zuko.flows.MAF(features=24, transforms=2, hidden_features=(16,))
    density = arbench.ForeignDensity(flow(), spec=task.spec, kind="density", module=flow)
    run = arbench.evaluate_density(density, "toy-ar1", name="maf", out=tmp_path / "maf")
    with torch.no_grad():
        own = -flow().log_prob(task.load("test").events).double().mean().item()
    record = Record.read(run.path / "record.json")
    assert record.splits["test"].nats_per_event == pytest.approx(own, abs=1e-5)
    assert record.splits["test"].kind == "density"
    assert record.splits["test"].bits_per_dim is None
    assert (record.model.plugin, record.model.plugin_version) == ("zuko", zuko.__version__)
    assert record.model.num_parameters == sum(p.numel() for p in flow.parameters())
    assert record.truth is not None
    assert record.truth.gap_nats_per_event > 0


def test_a_standardised_flow_of_zuko(zuko: ModuleType, tmp_path: Path) -> None:
    """The scale that `to_input` takes out of the data comes back as `log_det`."""
    task = arbench.open_task("toy-ar1")
    torch.manual_seed(0)
    flow = zuko.flows.NSF(features=24, transforms=1, bins=4, hidden_features=(16,))
    density = arbench.ForeignDensity(
        flow(),
        spec=task.spec,
        kind="density",
        to_input=lambda x: (x - 0.5) / 2,
        from_output=lambda y: 2 * y + 0.5,
        log_det=-24 * math.log(2),
        module=flow,
    )
    record = evaluated(density, task, tmp_path / "nsf", limit=500)
    halve = torch.distributions.AffineTransform(-0.25, 0.5, event_dim=1)
    whole = torch.distributions.TransformedDistribution(flow(), [halve.inv])
    with torch.no_grad():
        own = -whole.log_prob(task.load("test").events[:500]).double().mean().item()
    assert record.splits["test"].nats_per_event == pytest.approx(own, abs=1e-5)


def test_flows_of_zuko_pass_the_checks_from_outside(zuko: ModuleType) -> None:
    def build(spec: EventSpec) -> arbench.ForeignDensity:
        torch.manual_seed(1)
        flow = zuko.flows.MAF(features=spec.num_dims, transforms=1, hidden_features=(32,))
        return arbench.ForeignDensity(flow.double()(), spec=spec, kind="density", module=flow)

    results = check_foreign(build(EventSpec((6,), arbench.open_task("toy-ar1").spec.domain)), build)
    list(require(results))
    assert {r.check for r in results if r.status == "passed"} >= {"normalisation", "samples_follow"}


def test_a_gpt2_of_transformers_on_names(
    transformers: ModuleType, tmp_path: Path, data_dir: Path
) -> None:
    task = arbench.open_task("names")
    model = Gpt2(transformers, task.spec).eval()
    density = arbench.ForeignDensity(model, spec=task.spec, kind="exact", library="transformers")
    record = evaluated(density, "names", tmp_path / "gpt2", limit=150)
    total, count = total_of_library(model, task, 150)
    test = record.splits["test"]
    assert test.num_dims == count < 150 * 16
    assert test.nats_per_event == pytest.approx(total / 150, abs=1e-5)
    assert test.bits_per_dim == pytest.approx(total / count / math.log(2), abs=1e-5)
    assert record.model.plugin_version == transformers.__version__


def test_a_gpt2_of_transformers_on_a_text(transformers: ModuleType, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be, or not to be: that is the question.\n" * 60)
    task = arbench.open_task(f"text:{text}")
    spec = EventSpec((24,), task.domain)  # type: ignore[attr-defined]
    model = Gpt2(transformers, spec).eval()
    density = arbench.ForeignDensity(model, spec=spec, kind="exact", library="transformers")
    record = evaluated(density, task, tmp_path / "gpt2", limit=40)
    total, count = total_of_library(model, task.windows(24, 12), 40)  # type: ignore[attr-defined]
    test = record.splits["test"]
    assert (test.num_dims, record.windows is not None) == (count, True)
    assert test.bits_per_dim == pytest.approx(total / count / math.log(2), abs=1e-5)


def test_a_gpt2_of_transformers_passes_the_checks_from_outside(transformers: ModuleType) -> None:
    def build(spec: EventSpec) -> arbench.ForeignDensity:
        return arbench.ForeignDensity(Gpt2(transformers, spec), spec=spec, kind="exact")

    list(require(check_foreign(build(EventSpec((12,), Discrete(9))), build)))


@pytest.mark.parametrize(("width", "num_read"), [(8, 8), (16, 16), (24, 24), (32, 24)])
def test_a_masked_flow_narrower_than_its_events_reads_the_first_dims_only(
    zuko: ModuleType, width: int, num_read: int
) -> None:
    torch.manual_seed(0)
    spec = EventSpec((24,), Real())
    flow = zuko.flows.MAF(features=24, transforms=1, hidden_features=(width,))
    density = arbench.ForeignDensity(flow(), spec=spec, kind="density", module=flow)
    pairs = pairs_of_dims(24)
    expected = (pairs >= num_read).all(1)  # of dims that nothing reads, no two can depend
    assert len(pairs) == 24 * 23 // 2
    assert torch.equal(interactions(density, pairs) == 0, expected)
    (result,) = (r for r in check_foreign(density) if r.check == "influence")
    assert result.status == "passed"
    assert (f"{int(expected.sum())} of 276 pairs" in result.message) == bool(expected.any())
