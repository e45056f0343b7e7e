"""`arbench verify`: a number holds if the weights give it, event by event."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from forging import forge

import arbench
from arbench.cli import main
from arbench.files.tensors import load_tensors, save_tensors
from arbench.probability.bits import in_bits
from arbench.runs.folder import RunFolder
from arbench.runs.record.record import Record
from arbench.runs.record.values import LogProbs
from arbench.runs.verification import TOLERANCE_NATS, Verification, tolerance_nats
from arbench.runs.zoo import zoo_folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of a zoo entry."""
    return Path(shutil.copytree(zoo_folder() / "mnist-mini" / "nade", tmp_path / "run"))


def verify(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict]:
    code = main(["verify", str(run), "--device", "cpu", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_true_record_holds(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = verify(run, capsys)
    assert code == 0
    assert found["holds"]
    assert found["difference_nats"] < found["largest_difference_nats"] < TOLERANCE_NATS
    assert found["num_events"] == 1000
    assert main(["verify", str(run), "--device", "cpu"]) == 0
    assert "holds: recorded 100.39" in capsys.readouterr().out


def test_a_better_number_than_the_weights_give_does_not_hold(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    def improve(record: dict) -> None:
        test = record["measurements"]["likelihood"]["test"]
        scale = 1 - 2 * TOLERANCE_NATS / test["nats_per_event"]
        for name in ("total_nats", "nats_per_event", "bits_per_dim"):
            test[name] *= scale

    forge(run, improve)
    code, found = verify(run, capsys)
    assert code == 1
    assert found["difference_nats"] == pytest.approx(2 * TOLERANCE_NATS, rel=1e-3)
    assert found["misstated"] == [
        f"likelihood.test.{name}" for name in ("total_nats", "nats_per_event", "bits_per_dim")
    ]
    assert main(["verify", str(run), "--device", "cpu"]) == 1
    assert "DOES NOT HOLD" in capsys.readouterr().out


def test_events_that_differ_are_seen_where_their_mean_does_not(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_probs = LogProbs.load(RunFolder(run).per_event).values
    log_probs[0] += 0.01
    log_probs[1] -= 0.01
    LogProbs(log_probs).save(RunFolder(run).per_event)
    forge(run)
    code, found = verify(run, capsys)
    assert code == 1
    assert found["difference_nats"] < 1e-6
    assert found["largest_difference_nats"] == pytest.approx(0.01, rel=0.1)


def test_a_large_event_may_round_more_and_a_small_one_may_not(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Float32 and float64 differ by 1.4e-3 nats of 26,000, and that is no other number."""
    large = Verification(
        recorded_nats=26_000,
        found_nats=26_000 + 2e-4,
        largest_difference_nats=1.4e-3,
        tolerance_nats=tolerance_nats(26_000.0),
        num_events=1,
        device="cpu",
        misstated=(),
        is_bound=True,
    )
    assert large.holds
    assert not replace(large, largest_difference_nats=0.1).holds
    assert not replace(large, found_nats=26_000.1).holds
    # Not the largest event's tolerance for all: this one is within that of twice its size alone.
    log_probs = LogProbs.load(RunFolder(run).per_event).values
    smallest = int(log_probs.argmax())
    tolerances = tolerance_nats(log_probs)
    log_probs[smallest] += (tolerances[smallest] + tolerances.max()) / 2
    LogProbs(log_probs).save(RunFolder(run).per_event)
    forge(run)
    code, found = verify(run, capsys)
    assert code == 1
    assert found["tolerance_nats"] == pytest.approx(tolerances[smallest].item(), rel=1e-6)


def rewrite(run: Path, change: Callable[[dict], None]) -> None:
    """Change a run's record, and check that it is a record still."""
    forge(run, change)
    Record.read(run / "record.json")


def ten_times_the_dims(record: dict) -> None:
    record["task"]["num_dims"] *= 10
    likelihood = record["measurements"]["likelihood"]
    for split in (likelihood["validation"], likelihood["test"]):
        split["num_dims"] *= 10
        split["bits_per_dim"] /= 10
        split["standard_error_bits_per_dim"] /= 10


@pytest.mark.parametrize(
    ("change", "misstated"),
    [
        (
            ten_times_the_dims,
            ["task.num_dims"]
            + [
                f"likelihood.test.{n}"
                for n in ("num_dims", "bits_per_dim", "standard_error_bits_per_dim")
            ],
        ),
        (
            lambda record: record["measurements"]["likelihood"]["test"].update(kind="bound"),
            ["likelihood.test.kind"],
        ),
        (lambda record: record["task"].update(name="mnist"), ["task.name"]),
        (lambda record: record["task"].update(data_sha256="0" * 64), ["task.data_sha256"]),
        (lambda record: record["model"].update(name="gpt"), ["model.name"]),
    ],
)
def test_a_record_of_the_right_nats_that_misstates_what_they_are_of_does_not_hold(
    run: Path,
    change: Callable[[dict], None],
    misstated: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rewrite(run, change)
    code, found = verify(run, capsys)
    assert code == 1
    assert found["misstated"] == misstated
    assert found["largest_difference_nats"] < TOLERANCE_NATS
    assert main(["verify", str(run), "--device", "cpu"]) == 1
    assert f"its record misstates {', '.join(misstated)}\n" in capsys.readouterr().out


def test_bins_that_are_not_those_of_the_data_do_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No record says how wide they are, so that its bits per dim could be anything."""
    run = arbench.run("toy-ar1", "rnade", epochs=1, device="cpu", out=tmp_path / "run").path
    assert verify(run, capsys)[0] == 0
    test = Record.read(run / "record.json").splits["test"]
    assert test.standard_error_nats is not None
    error = in_bits(test.standard_error_nats * test.num_events / test.num_dims)
    invented = {"bits_per_dim": 0.0123, "standard_error_bits_per_dim": error}
    rewrite(run, lambda record: record["measurements"]["likelihood"]["test"].update(invented))
    code, found = verify(run, capsys)
    assert code == 1
    assert set(found["misstated"]) == {f"likelihood.test.{name}" for name in invented}


def test_a_record_without_a_test_number_cannot_be_verified(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(run, lambda record: record.update(measurements={}))
    assert main(["verify", str(run), "--device", "cpu"]) == 3
    assert "there is no test number" in capsys.readouterr().err


@pytest.mark.parametrize("values", [{"test": torch.zeros(7).double()}, {"other": torch.zeros(1)}])
def test_log_probabilities_of_other_events_do_not_hold(
    run: Path, values: dict[str, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    save_tensors(run / "per_event.safetensors", values)
    forge(run)
    code, found = verify(run, capsys)
    assert code == 1
    assert found["largest_difference_nats"] is None


def test_a_run_without_a_result_cannot_be_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path)]) == 3
    assert "is this a run folder" in capsys.readouterr().err


def test_groups_that_are_not_those_of_the_data_are_misstated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The windows of recordings are kept with the numbers of the files that they are from."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for number in range(30):
        noise = np.random.default_rng(number).integers(-9000, 9000, 3000).astype(np.int16)
        soundfile.write(sounds / f"{number:02}.wav", noise, 8000)
    task = f"audio:{sounds}"
    run = arbench.run(task, "bernoulli", epochs=1, device="cpu", out=tmp_path / "run").path
    say = ["verify", str(run), "--task", task, "--device", "cpu", "--json"]
    assert main(say) == 0
    capsys.readouterr()
    file = run / "per_event.safetensors"
    tensors = load_tensors(file)
    groups = tensors["likelihood:groups"]
    test = Record.read(run / "record.json").splits["test"]
    assert 1 < len(groups.unique()) == test.num_groups < test.num_events
    # As many groups as before, of other windows.
    save_tensors(file, tensors | {"likelihood:groups": groups.roll(1)})
    forge(run)
    assert main(say) == 1
    assert "log_probs.groups" in json.loads(capsys.readouterr().out)["misstated"]
