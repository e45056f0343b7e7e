"""Runs of a flow: from training to every command and measurement, which answer or say why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from making import untimed

import arbench
from arbench.cli import main
from arbench.data.dataset import Dataset
from arbench.data.tasks import Split, SplitName, Task
from arbench.errors import ConfigError, PluginError
from arbench.hub.card import card_of
from arbench.measure.asking import Measuring
from arbench.measure.opening import open_measurement
from arbench.probability.events import EventSpec, Real
from arbench.probability.flows import inversion
from arbench.probability.flows.flow import Flow
from arbench.probability.layouts import Layout
from arbench.registry.manager import registry
from arbench.runs.config import RunConfig, assemble
from arbench.runs.record.record import Record
from arbench.training.trainer import Objective

TINY = {"width": 8, "num_blocks": 2, "num_layers": 1}
SHORT: dict[str, Any] = {"epochs": 1, "limit": 60, "device": "cpu"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of a flow, and one of an autoregressive model beside it."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arbench.measure.speed.measure_sampling", untimed)
        arbench.run("toy-ar1", "tarflow", settings=TINY, out=folder / "flow", **SHORT)
        arbench.run("toy-ar1", "rnade", settings={"hidden": 4}, out=folder / "rnade", **SHORT)
    return folder


@pytest.fixture(scope="module")
def density(runs: Path) -> Flow:
    """The trained flow."""
    found = arbench.load(runs / "flow")
    assert isinstance(found, Flow)
    return found


def test_the_record_says_what_it_is(runs: Path, density: Flow) -> None:
    record = Record.read(runs / "flow" / "record.json")
    assert (record.model.head, record.model.layout) == (None, None)
    assert record.splits["test"].kind == "density"
    assert record.measurements["truth"].gap_nats_per_event > 0  # type: ignore[attr-defined]
    assert record.checks is not None
    found = {name: check.about for name, check in record.checks if check is not None}
    assert found == {
        "inverse": "events: 1, samples: 1, by inverse and whole",
        "log_det": "1 event, 24 x 24 derivatives",
        "samples_follow": "64 samples",
    }
    test = Dataset("toy-ar1", limit=60).split("test").events
    nats = -density.log_prob(test).mean().item()
    assert nats == pytest.approx(record.splits["test"].nats_per_event, abs=1e-5)
    assert "a flow" in card_of(runs / "flow")
    config = json.loads((runs / "flow" / "config.json").read_text())
    assert config["head"] is None


def test_training_makes_the_density_large(runs: Path, density: Flow) -> None:
    """And the loss of a step is what the density says of its events, each times its weight."""
    fresh = density.reinitialise(0)
    train = Dataset("toy-ar1", limit=60).split("train").events
    assert density.log_prob(train).mean() > fresh.log_prob(train).mean() + 0.1
    weights = torch.arange(60.0)
    loss = Objective([density])(train, None, weights, 0)
    assert loss.item() == pytest.approx(-(density.log_prob(train) * weights).sum().item(), rel=1e-6)


REFUSED = [
    ({"head.name": "gaussian"}, "takes no head"),
    ({"head.min_log_scale": -3.0}, "takes no head"),
    ({"layout.order": "permuted"}, "has no order of sites"),
    ({"num_copies": 2}, "no copies of flows"),
    ({"num_orderings": 2}, "no ensembles"),
    ({"num_masks": 2}, "no ensembles"),
    ({"patch": 5}, "patch has to divide"),
]


@pytest.mark.parametrize(("settings", "said"), REFUSED)
def test_settings_that_a_flow_has_not_are_refused_before_training(
    settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        arbench.run("toy-ar1", "tarflow", settings=settings, out=tmp_path / "run", **SHORT)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("task", "said"),
    [("toy-ising", "a density of real numbers, and the data are Discrete")],
)
def test_data_of_which_a_flow_is_no_density_are_refused(
    task: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        arbench.run(task, "tarflow", settings=TINY, out=tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()


def test_events_that_differ_in_length_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Dataset.stored

    def padded(dataset: Dataset, name: Any) -> Any:
        split = load(dataset, name)
        scored = torch.ones(split.events.shape, dtype=torch.bool)
        scored[0, -1] = False
        return type(split)(split.events, scored)

    monkeypatch.setattr(Dataset, "stored", padded)
    with pytest.raises(ConfigError, match="is a flow, a density of whole events, and events of"):
        arbench.run("toy-ar1", "tarflow", settings=TINY, out=tmp_path / "run", **SHORT)


@pytest.mark.parametrize(
    ("model", "head"), [("rnade", None), ("tarflow", "gaussian")], ids=["no-head", "a-head"]
)
def test_a_configuration_cannot_take_a_head_away_nor_give_a_flow_one(
    model: str, head: str | None, runs: Path
) -> None:
    name = "flow" if model == "tarflow" else model
    config = RunConfig.read(runs / name / "config.json").model_copy(update={"head": head})
    with pytest.raises(ConfigError, match="its configuration names (no|a) head"):
        assemble(config)


@pytest.mark.parametrize("name", registry().measurements)
def test_every_measurement_answers_or_says_in_a_sentence_why_not(
    name: str, runs: Path, density: Flow
) -> None:
    dataset = Dataset("toy-ar1", limit=60)
    measuring = Measuring(density, dataset, subject="tarflow", seed=0, folder=runs / "flow")
    said = measuring.refusal(open_measurement(name))
    needed = {
        "compression": "the distribution of each dim given those before it",
        "pixeldefend": "the distribution of each dim given those before it",
        "calibration": "the distribution of every dim",
        "probe": "features of events",
    }
    if name in needed:
        assert said is not None
        assert needed[name] in said
        assert "this density offers none" in said
    else:
        assert name in ("likelihood", "speed", "truth", "detection")
        assert said is None


# What each command says of a run of a flow, and its exit code; {} is the folder of the runs.
COMMANDS = [
    ("evaluate {}/flow --split validation --device cpu", 0, "2,000 events, density"),
    ("verify {}/flow --device cpu", 0, "flow holds: recorded"),
    ("resume {}/flow", 0, "there is nothing to resume"),
    ("show {}/flow", 0, "latents lead back to their events"),
    ("show {}/flow --heatmap", 2, "gives log-probabilities of whole events only"),
    ("measure {}/flow likelihood", 0, "measured already"),
    ("measure {}/flow compression", 2, "compression is not measured: compression needs"),
    ("sample {}/flow -n 3 --out {}/samples.csv", 0, "3 samples"),
    ("sample {}/flow -n 3 --method whole --out {}/whole.csv", 0, "3 samples"),
    ("sample {}/flow --method step --out {}/no.csv", 2, "cannot sample by 'step'; it has: inverse"),
    ("sample {}/flow --method fixed-point --out {}/no.csv", 2, "it has: inverse, whole"),
    ("sample {}/flow --given test:1 --rows 4 --out {}/no.csv", 2, "a flow draws whole events"),
    ("sample {}/flow --temperature 0.5 --out {}/no.csv", 2, "a flow and a foreign density have"),
    ("sample {}/flow --probabilities --out {}/no.csv", 2, "no such picture"),
    ("sample {}/flow --prompt a --out {}/no.csv", 2, "which is not a text"),
    ("bench {}/flow --device cpu --batch 1 --out {}/bench.json", 0, "bench.json"),
    ("compare {}/flow {}/rnade", 0, "nats/event over 60 test events"),
    ("plot {}/flow {}/rnade --out {}/plot.png", 0, "2 runs"),
    ("compress {}/flow --split test --out {}/no.arb", 2, "this model cannot compress"),
    ("score {}/flow {}/events.npz --csv {}/scores.csv", 0, "p-value"),
    ("leaderboard toy-ar1 --runs {}", 0, "only finished runs on the whole data"),
    ("check tarflow --receptive-field", 2, "it has no sites that see each other"),
    ("check tarflow --only inverse", 0, "3 passed"),
    ("download {}/flow --out {}/copy", 0, "copy"),
]
# These know no density, or only its record and weights as files.
ELSEWHERE = {"data", "decompress", "export", "list", "new", "push", "queue", "run"}


@pytest.mark.parametrize(("command", "code", "said"), COMMANDS, ids=[c for c, *_ in COMMANDS])
def test_every_command_answers_or_says_why_not(
    command: str, code: int, said: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(runs / "events.npz", events=np.zeros((3, 24), np.float32))
    assert main(command.replace("{}", str(runs)).split()) == code
    captured = capsys.readouterr()
    assert said in " ".join(f"{captured.out}\n{captured.err}".split())
    if code == 2:
        assert captured.err.splitlines()[-1].startswith("arbench: error: ")
        assert not (runs / "no.csv").exists()


def test_no_command_is_left_out() -> None:
    assert {command.split()[0] for command, *_ in COMMANDS} | ELSEWHERE == {*registry().commands}


def test_two_samplers_write_the_same_rows(runs: Path) -> None:
    rows = [arbench.sample(runs / "flow", 5, seed=3, method=m) for m in ("inverse", "whole")]
    torch.testing.assert_close(*rows, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("inverse_error", "fails the check inverse: what comes back from an inverse is 0.5 off"),
        ("log_det_error", "fails the check log_det: log_det is 0.5 nats per dim off"),
    ],
)
def test_a_trained_flow_that_breaks_a_promise_gets_no_number(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inversion, name, lambda *arguments: 0.5)
    with pytest.raises(PluginError, match=said):
        arbench.run("toy-ar1", "tarflow", settings=TINY, out=tmp_path / "run", **SHORT)
    record = Record.read(tmp_path / "run" / "record.json")
    assert (record.status, record.splits) == ("refused", {})


def test_a_flow_has_no_layout_to_be_made_with() -> None:
    with pytest.raises(ConfigError, match="tarflow is a flow, which has no layout"):
        arbench.untrained("tarflow", Layout(EventSpec((4,), Real())))


class Squares(Task):
    """Real images whose pixels resemble each other, of two channels."""

    name, version, source = "squares", "1", "made here"
    spec = EventSpec((2, 4, 4), Real())

    def load(self, split: SplitName) -> Split:
        """Thirty of them."""
        generator = torch.Generator().manual_seed(len(split))
        shades = torch.randn(30, 2, 1, 1, generator=generator)
        return Split(shades + 0.3 * torch.randn(30, 2, 4, 4, generator=generator))


def test_images_of_real_numbers_are_modelled_patch_by_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arbench.runs.experiment.open_task", lambda name: Squares())
    run = arbench.run(
        "squares", "tarflow", settings={**TINY, "patch": 2}, out=tmp_path / "run", **SHORT
    )
    assert run.record.checks is not None
    assert run.record.checks.log_det is not None
    assert run.record.checks.log_det.about == "1 event, 32 x 32 derivatives"
    flow = arbench.load(run.path)
    images = arbench.sample(flow, 5)
    assert images.shape == (5, 2, 4, 4)
    assert flow.log_prob(images).isfinite().all()
    assert flow.log_prob(Squares().load("test").events).mean().item() == pytest.approx(
        -run.record.splits["test"].nats_per_event, abs=1e-5
    )
    with pytest.raises(ConfigError, match="draws whole events"):
        arbench.sample(flow, 2, given=images[0], known=torch.ones(2, 4, 4, dtype=torch.bool))
    for setting, said in (({"layout.sites": "pixel"}, "no order of sites"), ({"patch": 3}, "4, 4")):
        with pytest.raises(ConfigError, match=said):
            arbench.run("squares", "tarflow", settings=setting, out=tmp_path / "no", **SHORT)


def test_a_table_of_real_columns_is_modelled_and_one_of_categories_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)).tolist()
    lines = [",".join(f"{value:.4f}" for value in row) for row in numbers]
    (tmp_path / "reals.csv").write_text("\n".join(["a,b,c", *lines]))
    (tmp_path / "mixed.csv").write_text(
        "\n".join(["a,b,c,d", *(f"{x},{'xy'[n % 2]}" for n, x in enumerate(lines))])
    )
    settings = [f"--set {key}={value}" for key, value in TINY.items()]
    command = f"run --model tarflow --epochs 1 --device cpu {' '.join(settings)}"
    for kind, code in (("reals", 0), ("mixed", 2)):
        task = f"--task table:{tmp_path}/{kind}.csv --out {tmp_path}/{kind}"
        assert main(f"{command} {task}".split()) == code
    assert "a flow is a density of real numbers, and the data are mixed" in capsys.readouterr().err
    assert main(f"sample {tmp_path}/reals -n 2 --out {tmp_path}/drawn.csv".split()) == 0
    assert (tmp_path / "drawn.csv").read_text().startswith("a,b,c\n")
