"""A thousand mutations of a run's files: each is refused in a line, or changes nothing.

Half of them are of a finished run, whose files belong to each other by its record; half of one
that goes on, whose files belong to each other by its checkpoint.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import arbench
from arbench.boards.curves import read_curve
from arbench.errors import ArbenchError
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import load_run
from arbench.runs.record.record import Record
from arbench.runs.record.values import read_log_probs
from arbench.training.checkpoints import CheckpointStore
from arbench.training.trainer import Trainer

HALF = 500
SETTINGS = {"hidden": [8], "batch_size": 10, "checkpoint_seconds": 0, "evaluations": 3}
SETTINGS |= {"alternative": "dropout"}
# What people look at; nothing is read from it.
FOR_THE_EYE = ("README.md", "samples.csv")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that came to its end."""
    out = tmp_path_factory.mktemp("finished") / "run"
    arbench.run("toy-markov", "made", settings=SETTINGS, epochs=2, limit=40, device="cpu", out=out)
    return out


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that broke off, with a checkpoint."""
    real = Trainer._step

    def step(trainer: Trainer, fraction: float) -> None:
        if trainer.progress.step == 6:
            raise ZeroDivisionError
        real(trainer, fraction)

    out = tmp_path_factory.mktemp("begun") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", step)
        with pytest.raises(ZeroDivisionError):
            arbench.run(
                "toy-markov", "made", settings=SETTINGS, epochs=2, limit=40, device="cpu", out=out
            )
    return out


Mutation = Callable[[bytearray, random.Random], None]


def _flip(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _overwrite(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    for index in range(start, min(len(data), start + draw.randint(1, 8))):
        data[index] = draw.randrange(256)


def _digit(data: bytearray, draw: random.Random) -> None:
    """Another number, where there are any: what a schema does not notice."""
    digits = [index for index, byte in enumerate(data) if 48 <= byte < 58]
    if digits:
        data[draw.choice(digits)] = draw.randrange(48, 58)


def _cut(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(len(data)) :]


def _drop(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    del data[start : start + draw.randint(1, 40)]


def _double(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    data[start:start] = data[start : start + draw.randint(1, 40)]


def _swap(data: bytearray, draw: random.Random) -> None:
    first, second = (draw.randrange(max(1, len(data) - 4)) for _ in range(2))
    data[first : first + 4], data[second : second + 4] = (
        data[second : second + 4],
        data[first : first + 4],
    )


MUTATIONS: list[Mutation] = [_flip, _overwrite, _digit, _digit, _cut, _drop, _double, _swap]


def _mutations(folder: Path, number: int) -> Iterator[tuple[Path, bytes]]:
    """So many files with what is to stand in them, the same every time."""
    draw = random.Random(number)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    for index in range(number):
        file = files[index % len(files)]
        data = bytearray(file.read_bytes())
        draw.choice(MUTATIONS)(data, draw)
        yield file, bytes(data)


def _same(found: Any, truth: Any) -> bool:
    if isinstance(truth, torch.Tensor):
        return torch.equal(found, truth)
    if isinstance(truth, dict):
        return found.keys() == truth.keys() and all(_same(found[k], truth[k]) for k in truth)
    if isinstance(truth, (list, tuple)):
        return len(found) == len(truth) and all(map(_same, found, truth))
    return bool(found == truth)


def _hold(folder: Path, number: int, readers: dict[str, Callable[[], Any]]) -> dict[str, int]:
    """How many mutations of each file somebody refuses; all others change nothing that is read."""
    truths = {name: read() for name, read in readers.items()}
    refused: dict[str, int] = {}
    for file, data in _mutations(folder, number):
        good = file.read_bytes()
        file.write_bytes(data)
        faults = []
        for name, read in readers.items():
            try:
                found = read()
            except ArbenchError as error:
                faults.append(str(error))
                continue
            assert _same(found, truths[name]), f"{name} after a mutation of {file.name}: {data!r}"
        assert "\n" not in "".join(faults)
        refused[file.name] = refused.get(file.name, 0) + bool(faults)
        assert not (faults and file.name in FOR_THE_EYE)
        file.write_bytes(good)
    return refused


def _hold_finished(run: Path, to: Path, number: int) -> dict[str, int]:
    folder = RunFolder(Path(shutil.copytree(run, to / "run")))
    events = torch.randint(0, 2, (3, 32))

    def log_prob() -> torch.Tensor:
        return load_run(folder.path).density.log_prob(events)

    def per_event() -> torch.Tensor:
        return read_log_probs(Record.read(folder.record), folder.per_event).values

    def curve() -> Any:
        return read_curve(folder.metrics, Record.read(folder.record).sha256.metrics)

    # A configuration alone may be another; whoever uses it holds it against the record.
    readers = {
        "record": lambda: Record.read(folder.record),
        "log_prob": log_prob,
        "per event": per_event,
        "curve": curve,
    }
    return _hold(folder.path, number, readers)


def _hold_begun(run: Path, to: Path, number: int) -> dict[str, int]:
    folder = Path(shutil.copytree(run, to / "run"))
    store = CheckpointStore(folder / "checkpoint")

    def state() -> Any:
        config = RunConfig.read(folder / "config.json")
        loaded = store.load()
        assert loaded is not None
        progress, tensors, cautions = loaded
        return config, vars(progress), tensors, cautions

    return _hold(folder, number, {"state": state})


@pytest.mark.parametrize(
    "share", [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(10, id="a tenth")]
)
def test_no_mutation_of_a_finished_run_is_believed(
    finished: Path, tmp_path: Path, share: int
) -> None:
    refused = _hold_finished(finished, tmp_path, HALF // share)
    each = HALF // share / len(refused)
    bound = ("config.json", "record.json", "model.safetensors", "per_event.safetensors")
    assert all(refused[name] > 0.7 * each for name in (*bound, "metrics.jsonl")), refused


@pytest.mark.parametrize(
    "share", [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(10, id="a tenth")]
)
def test_no_mutation_of_a_run_that_goes_on_is_believed(
    begun: Path, tmp_path: Path, share: int
) -> None:
    refused = _hold_begun(begun, tmp_path, HALF // share)
    each = HALF // share / len(refused)
    assert set(refused) == {"config.json", "metrics.jsonl", "state.json", "step-6.safetensors"}
    assert all(count > 0.7 * each for count in refused.values()), refused
