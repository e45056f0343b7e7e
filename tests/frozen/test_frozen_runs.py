"""Runs that older versions made are loaded, evaluated, verified, compared and ranked as before.

Nothing here imports what stands behind the flat `arbench`, so that files may move.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

import arbench

HERE = Path(__file__).parent
VERSIONS = ("v1", "v2")
TEXT = f"text:{HERE / 'frozen.txt'}"
TRAINED = ("markov", "ar1", "ensemble", "names", "text")
# The weights are float32: another processor rounds the logits otherwise.
ROUNDING = {"rtol": 1e-5, "atol": 1e-4}

Frozen = Callable[[str], Path]
Shown = Callable[..., str]
Json = Callable[..., Any]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """The format of the record."""
    return str(request.param)


@pytest.fixture(params=TRAINED)
def trained(request: pytest.FixtureRequest) -> str:
    """A run with weights."""
    return str(request.param)


@pytest.fixture
def with_data(trained: str, request: pytest.FixtureRequest) -> str:
    """The same, with its data at hand: the names are none that arbench brings along."""
    if trained == "names":
        request.getfixturevalue("data_dir")
    return trained


def written(folder: Path, name: str = "record.json") -> dict[str, Any]:
    """What stands in a frozen file."""
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


def per_event(folder: Path) -> np.ndarray:
    """The log-probability that the run has written down for each test event, in nats."""
    return load_file(folder / "log_probs.safetensors")["test"]


def windows(symbols: Tensor, context: int, stride: int) -> tuple[Tensor, Tensor]:
    """The windows of a stream `(M, context)` and what each of them scores, by their definition."""
    events, scored, done = [], [], 0
    for start in [*range(0, len(symbols) - context, stride), len(symbols) - context]:
        events.append(symbols[start : start + context])
        scored.append(torch.arange(start, start + context) >= done)
        done = start + context
    return torch.stack(events), torch.stack(scored)


def test_events(folder: Path) -> tuple[Tensor, Tensor | None]:
    """The test events of a run and what of them counts."""
    record, limit = written(folder), written(folder, "config.json")["limit"]
    if stream := windows_of(folder):
        symbols = arbench.open_task(TEXT).load("test").events.flatten()
        return windows(symbols, stream["context"], stream["stride"])
    split = arbench.open_task(record["task"]["name"]).load("test")
    return split.events[:limit], None if split.scored is None else split.scored[:limit]


test_events.__test__ = False  # type: ignore[attr-defined]


def windows_of(folder: Path) -> dict[str, int] | None:
    """How a stream was scored, also in a record that was written anew; None of events."""
    record = written(folder)
    if record["schema_version"] == 3:
        return record["measurements"]["likelihood"]["windows"]
    return record["evaluation"]


def options(folder: Path) -> dict[str, Any]:
    """What has to be said of a run's data for them to be those that it had."""
    return {"device": "cpu"} | ({"task": TEXT} if windows_of(folder) else {})


def test_weights_give_the_log_probability_of_every_event(version: str, with_data: str) -> None:
    folder = HERE / version / with_data
    model, expected = arbench.load(folder), per_event(folder)
    events, scored = test_events(folder)
    assert len(events) == len(expected)
    with torch.no_grad():
        found = model.log_prob(events.long() if with_data != "ar1" else events, scored)
    np.testing.assert_allclose(found.double().numpy(), expected, **ROUNDING)


def test_the_configuration_says_what_was_trained(version: str, trained: str) -> None:
    folder = HERE / version / trained
    config, record = written(folder, "config.json"), written(folder)
    model = arbench.load(folder)
    event = config["members"][0]["layout"]["event"]
    assert list(model.spec.shape) == event["shape"]
    assert getattr(model.spec.domain, "size", None) == event["domain"]["size"]
    assert model.kind == ("density" if trained == "ar1" else "exact")
    assert len(config["members"]) == (3 if trained == "ensemble" else 1)
    num_parameters = sum(weights.numel() for weights in model.parameters())
    assert num_parameters == record["model"]["num_parameters"]
    drawn = arbench.sample(model, 2)
    assert drawn.shape == (2, *event["shape"])
    if trained in ("names", "text"):
        prompt = config["rendering"]["symbols"][1]
        (text,) = arbench.sample_texts(folder, prompt=prompt)
        assert text.startswith(prompt)


def test_the_number_is_made_again_and_holds(
    version: str, with_data: str, frozen: Frozen, arbench_json: Json
) -> None:
    folder = frozen(f"{version}/{with_data}")
    values, limit = per_event(folder), written(folder, "config.json")["limit"]
    task = ["--task", TEXT] if with_data == "text" else []
    few = ["--limit", limit] if limit else []
    found = arbench_json("evaluate", folder, *task, *few, "--device", "cpu", "--json")
    assert found["num_events"] == len(values)
    assert found["total_nats"] == pytest.approx(-values.sum(), rel=1e-6)
    verified = arbench.verify(folder, **options(folder))
    assert verified.holds
    assert verified.recorded_nats == pytest.approx(found["nats_per_event"], rel=1e-6)
    # Verifying binds an older record; what it says stays.
    again = arbench_json("evaluate", folder, *task, *few, "--device", "cpu", "--json")
    assert again == found
    assert arbench.verify(folder, **options(folder)).holds


def test_a_finished_run_is_not_trained_again(version: str, trained: str, frozen: Frozen) -> None:
    folder = frozen(f"{version}/{trained}")
    weights = (folder / "model.safetensors").read_bytes()
    resumed = arbench.resume(folder, **options(folder)).record
    assert resumed.status == "finished"
    assert (folder / "model.safetensors").read_bytes() == weights
    old = written(HERE / version / trained)
    assert resumed.task.name == old["task"]["name"]
    assert resumed.task.data_sha256 == old["task"]["data_sha256"]
    assert resumed.model.hyperparameters == old["model"]["hyperparameters"]
    for name in ("recipe", "seed", "steps", "epochs", "limit", "best_step"):
        assert getattr(resumed.training, name) == old["training"][name], name
    assert resumed.environment.torch == old["environment"]["torch"]


@pytest.mark.parametrize("name", [*TRAINED, "foreign"])
def test_show_tells_all_that_was_measured(
    version: str, name: str, frozen: Frozen, arbench_prints: Shown
) -> None:
    record, shown = written(HERE / version / name), arbench_prints("show", HERE / version / name)
    assert f"{record['model']['name']}: " in shown
    assert record["task"]["data_sha256"][:12] in shown
    for split in ("validation", "test"):
        nll = record["nll"][split]
        assert split in shown
        assert f"{nll['num_events']:,}" in shown
        if nll["bits_per_dim"] is not None:
            assert f"{nll['bits_per_dim']:.4f}" in shown
    test = record["nll"]["test"]
    per_char = record["task"]["unit"] == "char"
    nats = test["total_nats"] / test["num_dims"] if per_char else test["nats_per_event"]
    assert any(f"{nats:.{digits}f}" in shown for digits in (3, 4))
    if record["truth"] is not None:
        assert f"{record['truth']['gap_nats_per_event']:.4f}" in shown
    for row in record["sampling"]:
        assert f"{row['events_per_s']:,.1f}" in shown
    assert ("self-reported" in shown) == (name == "foreign")


@pytest.mark.parametrize("pair", ["v1 v1", "v2 v2", "v1 v2"])
def test_two_runs_are_compared_event_by_event(pair: str, arbench_json: Json) -> None:
    a, b = (HERE / version for version in pair.split())
    a, b = a / "markov", b / "foreign"
    difference = per_event(a) - per_event(b)
    error = difference.std(ddof=1) / math.sqrt(len(difference))
    found = arbench.compare(a, b)
    assert found.nats == pytest.approx(difference.mean(), rel=1e-9)
    assert found.standard_error == pytest.approx(error, rel=1e-6)
    printed = arbench_json("compare", a, b, "--json")
    assert printed["difference_nats_per_event"] == found.nats
    assert printed["verdict"] == f"{a} is better"


@pytest.mark.parametrize("name", [*TRAINED, "zoo-entry"])
def test_an_old_run_and_its_successor_are_the_same(name: str) -> None:
    """Between the two versions no likelihood moved: the same seed gave the same weights."""
    found = arbench.compare(HERE / "v1" / name, HERE / "v2" / name)
    assert found.nats == 0


def test_an_entry_of_the_zoo_is_what_it_was(version: str, arbench_json: Json) -> None:
    entry = HERE / version / "zoo-entry"
    found = arbench.compare(entry, "mnist-mini/nade")
    assert found.nats == pytest.approx(0, abs=1e-4)
    assert found.num_events == written(entry)["nll"]["test"]["num_events"]
    assert arbench_json("show", entry, "--json")["run"]["model"]["name"] == "nade"


def test_a_folder_of_runs_becomes_boards(
    version: str, frozen: Frozen, arbench_json: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {name: frozen(f"{version}/{name}") for name in ("markov", "foreign", "ar1", "text")}
    runs = folders["markov"].parent
    if version == "v1":
        # Nothing ties an older run's files to each other until it is verified.
        unbound = arbench.leaderboard("toy-ar1", runs=runs)
        assert "local" not in {*unbound["status"]}
        assert f"{folders['ar1']} is not bound" in capsys.readouterr().err
        for name in ("markov", "ar1"):
            assert arbench.verify(folders[name], device="cpu").holds
    (markov,) = arbench_json("leaderboard", "toy-markov", "--runs", runs, "--format", "json")
    # A foreign density has no weights to be bound by: an older one stays away.
    models = {"v1": ["nade"], "v2": ["nade", "coins"]}[version]
    assert [row["model"] for row in markov["rows"]] == models
    old = written(HERE / version / "markov")
    row = markov["rows"][0]
    assert (row["rank"], row["status"], row["num_seeds"]) == (1, "local", 1)
    assert row["bits_per_dim"] == pytest.approx(old["nll"]["test"]["bits_per_dim"], rel=1e-6)
    assert row["nats"] == pytest.approx(old["nll"]["test"]["nats_per_event"], rel=1e-6)
    assert row["gap_nats"] == pytest.approx(old["truth"]["gap_nats_per_event"], rel=1e-6)
    assert row["num_parameters"] == old["model"]["num_parameters"]
    (ar1,) = arbench_json("leaderboard", "toy-ar1", "--runs", runs, "--format", "json")
    assert ar1["kind"] == "density"
    assert "local" in {row["status"] for row in ar1["rows"]}


def test_a_report_of_speed_joins_its_run(version: str, frozen: Frozen, arbench_json: Json) -> None:
    folder = frozen(f"{version}/markov")
    (report,) = folder.glob("speed-*.json")
    raw = json.loads(report.read_text())
    raw["sampling"][0]["events_per_s"] = 1e6  # faster than all that the run itself timed
    report.write_text(json.dumps(raw))
    if version == "v1":
        assert arbench.verify(folder, device="cpu").holds
    (board,) = arbench_json(
        "leaderboard", "toy-markov", "--runs", folder.parent, "--format", "json"
    )
    (speed,) = board["rows"][0]["speeds"]
    assert (speed["method"], speed["batch_size"], speed["events_per_s"]) == ("step", 8, 1e6)


def test_a_foreign_density_has_no_weights(
    version: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The reason is said; its values are what they are: 32 fair coins."""
    folder = HERE / version / "foreign"
    np.testing.assert_allclose(per_event(folder), -32 * math.log(2), rtol=1e-12)
    (entry,) = entry_points(group="console_scripts", name="arbench")
    assert entry.load()(["verify", str(folder), "--device", "cpu"]) != 0
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(frozen: Frozen, tmp_path: Path) -> None:
    folder = frozen("v2/interrupted")
    config, old = written(folder, "config.json"), written(folder)
    assert old["training"]["status"] == "interrupted"
    assert old["training"]["steps"] < 200
    resumed = arbench.resume(folder, device="cpu").record
    assert (resumed.status, resumed.training.steps) == ("finished", 200)
    # The default recipe of that version, in the settings that are others now.
    recipe = config["recipe"]["training"] | {"min_steps": 0, "patience": 0}
    del recipe["epochs"]
    whole = arbench.run(
        "toy-markov",
        "nade",
        settings={f"training.{key}": value for key, value in recipe.items()}
        | {"hidden": 4, "readout_scale": 1.0},
        epochs=config["recipe"]["training"]["epochs"],
        limit=config["limit"],
        device="cpu",
        out=tmp_path / "whole",
    )
    found, expected = (load_file(path / "model.safetensors") for path in (folder, whole.path))
    assert found.keys() == expected.keys()
    then, now = old["environment"], whole.record.environment
    same = all(then[name] == getattr(now, name) for name in ("torch", "cpu", "threads"))
    for name, value in expected.items():
        if same:
            np.testing.assert_array_equal(found[name], value)
        else:  # another processor rounds otherwise
            np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4)
    assert arbench.verify(folder, device="cpu").holds


def test_a_changed_weight_is_noticed(version: str, frozen: Frozen) -> None:
    """These tests can fail: other weights are no longer the record's."""
    folder = frozen(f"{version}/markov")
    shutil.copyfile(HERE / version / "ensemble" / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(Exception, match=r"sha256|model\.safetensors"):
        arbench.load(folder)
