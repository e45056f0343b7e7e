"""More questions to a finished run: what is asked, kept, written down, and survives a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file

import arbench
from arbench import Context, Density, Handed, Measured, Measurement
from arbench.cli import main
from arbench.data.dataset import Dataset
from arbench.errors import CheckpointError, ConfigError, Interrupted, PluginError
from arbench.files.atomic import sha256_of
from arbench.hub.finding import find_run
from arbench.measure.likelihood import Likelihood, evaluate_log_probs
from arbench.measure.per_event import EventValues, load_per_event, save_per_event
from arbench.measure.result_sections import ResultSection
from arbench.runs.folder import RunFolder
from arbench.runs.measuring import measure_run
from arbench.runs.record.binding import next_per_event
from arbench.runs.record.record import Record
from arbench.show.reporting import Reporter

FROZEN = Path(__file__).parents[1] / "frozen"


class Length(Measurement):
    """The mean of something of every test event, and a picture of it."""

    name = "length"
    version = "1"
    unit = "ones"
    better = "higher"
    asked: ClassVar[list[str]] = []

    def __init__(self, *, times: int = 1) -> None:
        self.times = times

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        Length.asked.append(self.key)
        ones = dataset.split("test").events.flatten(1).double().sum(1)
        picture = context.folder / "length.svg"
        picture.write_text("long")
        return self.measured({"ones": self.times * ones}, pictures=[picture])


class Broken(Length):
    """One that fails."""

    name = "broken"

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        raise ZeroDivisionError("by its author")


class Beside(Length):
    """One that looks at another task and another run."""

    name = "beside"

    def __init__(self, *, run: str) -> None:
        super().__init__()
        self.run = run

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        other, events = context.load(self.run), dataset.split("test").events
        assert context.open("toy-ising").task.name == "toy-ising"
        gap = density.log_prob(events) - other.log_prob(events)
        return self.measured({"gap": gap.double().detach().cpu()})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("measuring") / "run"
    options = {"epochs": 1, "limit": 200, "device": "cpu", "out": folder}
    return arbench.run("toy-markov", "bernoulli", **options).path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    Length.asked.clear()
    return Path(shutil.copytree(made, tmp_path / "run"))


def measured(run: Path, *measurements: Measurement) -> Record:
    return measure_run(run, measurements, device="cpu", reporter=Reporter())


def test_an_answer_is_in_the_record_and_its_values_beside_those_of_before(run: Path) -> None:
    before, values = Record.read(run / "record.json"), load_file(run / "per_event.safetensors")
    record = measured(run, Length(times=3))
    assert Record.read(run / "record.json") == record
    section = record.measurements["length?times=3"]
    events = arbench.open_task("toy-markov").load("test").events[:200]
    ones = 3 * events.flatten(1).double().sum(1)
    (row,) = section.rows
    assert (row.case, row.unit, row.better) == ("test", "ones", "higher")
    assert row.value == pytest.approx(ones.mean().item())
    assert row.error == pytest.approx(ones.std().item() / 200**0.5)
    assert (section.index, section.values, section.num_values) == ("test", ["ones"], 200)
    assert (section.num_groups, section.settings) == (200, {"times": 3})
    (picture,) = section.pictures
    assert (run / picture).read_text() == "long"
    after = load_file(run / "per_event.safetensors")
    assert after.keys() == values.keys() | {"length?times=3:ones"}
    assert all(torch.equal(after[name], values[name]) for name in values)
    assert torch.equal(after["length?times=3:ones"], ones)
    assert record.sha256.per_event == sha256_of(run / "per_event.safetensors")
    for key, was in before.measurements.items():
        assert record.measurements[key] == was
    assert not next_per_event(run).exists()
    arbench.load(run)
    assert arbench.verify(run, device="cpu").holds


def test_what_is_there_is_kept_and_other_settings_are_another_result(run: Path) -> None:
    first = measured(run, Length())
    bytes_before = (run / "record.json").read_bytes()
    assert measured(run, Length()) == first
    assert (run / "record.json").read_bytes() == bytes_before
    both = measured(run, Length(), Length(times=2))
    assert Length.asked == ["length", "length?times=2"]
    assert both.measurements["length"] == first.measurements["length"]


def test_what_is_opened_elsewhere_is_named_with_its_hash(run: Path, made: Path) -> None:
    asked = Beside(run=str(made))
    section = measured(run, asked).measurements[asked.key]
    weights = Record.read(made / "record.json").sha256.weights
    assert isinstance(section, ResultSection)
    assert section.opened == {
        "toy-markov/bernoulli": weights,
        "toy-ising": Dataset("toy-ising").sha256,
    }
    assert section.rows[0].value == 0.0  # the weights are the same


class Surprise(Measurement):
    """Nats of every test event, as its context has them."""

    name, version, unit, better, negates = "surprise", "1", "nats", "lower", True

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        return self.measured({"log_prob": context.log_probs("test")})


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events were evaluated, split by split."""
    counts: list[int] = []

    def evaluate(density: Density, split: arbench.Split, **how: Any) -> torch.Tensor:
        counts.append(len(split))
        return evaluate_log_probs(density, split, **how)

    monkeypatch.setattr("arbench.measure.asking.evaluate_log_probs", evaluate)
    return counts


def test_log_probs_of_test_are_those_that_the_run_kept(run: Path, evaluated: list[int]) -> None:
    kept = load_per_event(run / "per_event.safetensors")["likelihood"].values["log_prob"]
    record = measured(run, Surprise())
    assert evaluated == []
    found = load_per_event(run / "per_event.safetensors")["surprise"].values["log_prob"]
    assert torch.equal(found, kept)
    assert record.measurements["surprise"].rows[0].value == pytest.approx(
        record.splits["test"].nats_per_event, rel=1e-12
    )
    assert arbench.verify(run, device="cpu").holds
    assert evaluated == [200], "a verification takes nothing for granted"


def test_log_probs_that_were_edited_are_not_handed_on(run: Path) -> None:
    kept = load_per_event(run / "per_event.safetensors")
    values = kept["likelihood"].values["log_prob"].flip(0)  # of the same sum
    save_per_event(run / "per_event.safetensors", {"likelihood": EventValues({"log_prob": values})})
    with pytest.raises(CheckpointError, match="per_event"):
        measured(run, Surprise())


def test_another_version_of_the_likelihood_is_evaluated_anew(
    run: Path, evaluated: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Likelihood, "version", "2")
    measured(run, Surprise())
    assert evaluated == [200]


def test_another_version_is_measured_anew(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(run, Length())
    monkeypatch.setattr(Length, "version", "2")
    assert measured(run, Length()).measurements["length"].version == "2"
    assert len(Length.asked) == 2


def test_one_that_fails_leaves_the_others_and_says_how_to_ask_again(run: Path) -> None:
    with pytest.raises(PluginError, match="ZeroDivisionError.*the run is finished.*measure .*run"):
        measured(run, Length(), Broken())
    record = Record.read(run / "record.json")
    assert "length" in record.measurements
    assert "broken" not in record.measurements
    arbench.load(run)


@pytest.mark.parametrize("point", ["values written", "record written"])
def test_a_kill_between_values_and_record_loses_nothing(run: Path, point: str) -> None:
    """Readers and the next measurement find one state or the other, whole."""
    record = Record.read(run / "record.json")
    values = load_per_event(run / "per_event.safetensors")
    digest = save_per_event(next_per_event(run), {**values, "other": values["likelihood"]})
    if point == "record written":
        hashes = record.sha256.model_copy(update={"per_event": digest})
        record.model_copy(update={"sha256": hashes}).write(run / "record.json")
    arbench.load(run)
    assert arbench.compare(run, run).nats == 0
    assert measured(run, Length()).measurements.keys() >= {"length", "likelihood"}
    found = load_per_event(run / "per_event.safetensors")
    assert ("other" in found) == (point == "record written")
    assert not next_per_event(run).exists()


def test_a_run_holds_its_folder_while_it_is_measured(run: Path) -> None:
    with (
        RunFolder(run).locked(),
        pytest.raises(ConfigError, match="a run is going on in"),
    ):
        measured(run, Length())


def test_an_older_run_is_measured_and_becomes_one_of_today(tmp_path: Path) -> None:
    run = Path(shutil.copytree(FROZEN / "v2" / "markov", tmp_path / "run"))
    before = load_file(run / "log_probs.safetensors")["test"]
    record = measured(run, Length())
    assert json.loads((run / "record.json").read_text())["schema_version"] == 3
    assert not (run / "log_probs.safetensors").exists()
    kept = load_per_event(run / "per_event.safetensors")
    assert torch.equal(kept["likelihood"].values["log_prob"], before.double())
    assert "length" in record.measurements
    assert arbench.verify(run, device="cpu").holds


def test_an_unbound_run_is_verified_first(tmp_path: Path) -> None:
    run = Path(shutil.copytree(FROZEN / "v1" / "markov", tmp_path / "run"))
    with pytest.raises(ConfigError, match="arbench verify .* binds it"):
        measured(run, Length())
    assert arbench.verify(run, device="cpu").is_bound
    assert "length" in measured(run, Length()).measurements


def test_a_run_that_may_not_see_the_test_split_is_not_asked_of_it(tmp_path: Path) -> None:
    run = arbench.run(
        "toy-markov", "bernoulli", evaluate_test=False, device="cpu", out=tmp_path / "run"
    )
    with pytest.raises(ConfigError, match="length reads the test split.*nothing of it may be seen"):
        measured(run.path, Length())


def test_the_verb_measures_prints_and_keeps(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say = ["measure", str(run), "speed?batch_sizes=[3]", "--device", "cpu"]
    assert main([*say, "--json"]) == 0
    (section,) = json.loads(capsys.readouterr().out).values()
    assert [row["batch_size"] for row in section["rows"]] == [3]
    assert main(say) == 0
    said = capsys.readouterr()
    assert "is measured already, by version 1: kept" in said.err
    assert "sampling speed" in said.out
    assert "| 3" in (run / "README.md").read_text().replace("  ", " ")


def test_times_on_another_device_are_a_result_of_their_own(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", str(run), "speed?device=cpu"]) == 0
    record = Record.read(run / "record.json")
    assert [key for key in record.measurements if key.startswith("speed")] == [
        "speed",
        'speed?device="cpu"',
    ]
    assert len(record.speeds) == 4
    assert main(["measure", str(run), "speed"]) == 0
    assert "kept; another device is a setting, such as 'speed?device=cuda'" in (
        capsys.readouterr().err
    )
    assert main(["measure", str(run), "speed?device=cpu&full=true", "speed?device=cuda"]) == 2
    assert "measure on one device at a time, not on cpu and cuda" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["RUN", "spede"], 2, "speed"),
        (["RUN", "speed?batches=1"], 2, "has no setting 'batches'"),
        (["RUN", "speed", "--out", "copy"], 2, "--out is for the copy of a run that others share"),
        (["mnist-mini/nade", "speed", "--out", "RUN"], 2, "name another folder for its copy"),
        (["NONE", "speed"], 2, "no run folder"),
        (["FOREIGN", "speed"], 2, "weights are not here"),
        (["RUN", 'speed?samplers=["none"]'], 2, "there is no sampler 'none'"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(
    run: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    foreign = shutil.copytree(FROZEN / "v2" / "foreign", tmp_path / "foreign")
    named = {"RUN": str(run), "FOREIGN": str(foreign), "NONE": "none/such"}
    before = (run / "record.json").read_bytes()
    assert main(["measure", *(named.get(word, word) for word in arguments)]) == code
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert (run / "record.json").read_bytes() == before


def test_a_shared_run_is_measured_in_a_copy_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/zoo/mnist-mini/nade").mkdir(parents=True)  # an empty folder is in nobody's way
    shared = find_run("mnist-mini/nade")
    before = {file.name: file.read_bytes() for file in shared.iterdir() if file.is_file()}
    asked = "speed?batch_sizes=[2]"
    assert main(["measure", "mnist-mini/nade", asked, "--device", "cpu"]) == 0
    assert "its copy runs/zoo/mnist-mini/nade is measured" in capsys.readouterr().err
    copy = tmp_path / "runs/zoo/mnist-mini/nade"
    assert asked in Record.read(copy / "record.json").measurements
    assert asked not in Record.read(shared / "record.json").measurements
    assert main(["measure", "mnist-mini/nade", asked, "--device", "cpu"]) == 0
    assert "measured already" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in shared.iterdir() if file.is_file()} == before


def test_a_run_measures_more_once_it_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say = [
        "run",
        "--task",
        "toy-markov",
        "--model",
        "bernoulli",
        "--limit",
        "50",
        "--device",
        "cpu",
    ]
    more = ["--measure", "speed?batch_sizes=[2]"]
    assert main([*say, *more, "--out", str(tmp_path / "run"), "--json"]) == 0
    measurements = json.loads(capsys.readouterr().out)["measurements"]
    assert list(measurements) == ["likelihood", "truth", "speed", "speed?batch_sizes=[2]"]
    assert main([*say, "--measure", "nosuch", "--out", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()  # before anything is trained
    refused = ["--measure", "truth"]
    names = ["run", "--task", "mnist-mini", *say[3:], *refused, "--out", str(tmp_path / "third")]
    assert main(names) == 2
    assert "nobody knows the true density of mnist-mini" in capsys.readouterr().err
    assert not (tmp_path / "third").exists()


class Stopped(Length):
    """One during which somebody stops the process."""

    name = "stopped"

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().measure(density, dataset, context)


def test_a_stop_signal_says_how_to_ask_again_and_keeps_what_there_is(run: Path) -> None:
    with pytest.raises(
        Interrupted, match="interrupted; the run is finished, and .*measure"
    ) as said:
        measured(run, Length(), Stopped())
    assert said.value.exit_code == 128 + signal.SIGTERM
    assert "resume" not in str(said.value)
    record = Record.read(run / "record.json")
    assert "length" in record.measurements
    assert "stopped" not in record.measurements
    arbench.load(run)
