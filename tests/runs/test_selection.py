"""A recipe of several beliefs: validation chooses, and a stop in between changes nothing."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from making import untimed

import arbench
from arbench.data.dataset import Dataset
from arbench.data.tasks import Task, open_task
from arbench.errors import Diverged, Interrupted
from arbench.measure import speed
from arbench.runs.config import RunConfig
from arbench.runs.experiment import Run
from arbench.runs.request import RunRequest, resolve
from arbench.show.reporting import Advance, Reporter

# Short, so that what is learned in 200 steps tells the beliefs apart.
SHORT: dict[str, Any] = {"min_steps": 200, "epochs": 1, "evaluations": 10, "patience": 0}
SHORT |= {"batch_size": 20}


def write_table(path: Path, events: torch.Tensor) -> str:
    """The task of a file that holds these rows of bits, divided into thirds."""
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in events.int().tolist()))
    return f"table:{path}"


def copies(generator: torch.Generator, num_events: int = 200) -> torch.Tensor:
    """Twenty coins, then the same again in another order: what matters is exact, and is far."""
    source = torch.randint(0, 2, (num_events, 20), generator=generator)
    return torch.cat([source, source[:, torch.randperm(20, generator=generator)]], 1)


def coins(generator: torch.Generator, num_events: int = 90) -> torch.Tensor:
    """Independent bits, few events of many: every weight is noise."""
    return torch.rand(num_events, 40, generator=generator) < 0.3


def chain(generator: torch.Generator, num_events: int = 90) -> torch.Tensor:
    """Each bit is the one before it, but for one in ten: what is near matters, alike everywhere."""
    flips = torch.rand(num_events, 40, generator=generator) < 0.1
    return flips.long().cumsum(1) % 2


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """A run of the default recipe of FVSBN on each of three tiny tables."""
    folder = tmp_path_factory.mktemp("beliefs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "measure_sampling", untimed)
        made = {}
        for number, draw in enumerate((copies, coins, chain)):
            task = write_table(
                folder / f"{draw.__name__}.csv", draw(torch.Generator().manual_seed(number))
            )
            out = folder / draw.__name__
            made[draw.__name__] = arbench.run(task, "fvsbn", settings=SHORT, device="cpu", out=out)
        yield made


def chosen(run: Run) -> str:
    assert run.record.training is not None
    tried = {name: nats for name, nats in run.record.training.tried.items() if nats is not None}
    return min(tried, key=tried.__getitem__)


def test_sets_that_contradict_each_other_get_what_each_needs(runs: dict[str, Run]) -> None:
    assert {name: chosen(run) for name, run in runs.items()} == {
        "copies": "free",
        "coins": "small",
        "chain": "near",
    }
    for run in runs.values():
        training = run.record.training
        assert training is not None
        found = run.record.splits["validation"].nats_per_event
        assert found == pytest.approx(training.tried[chosen(run)], abs=1e-9)
        own = training.settings["alternatives"][chosen(run)]
        for section, settings in own.items():
            assert settings.items() <= training.settings[section].items()
        assert not (run.path / "checkpoint").exists()


def test_the_weights_are_those_of_the_chosen_settings_alone(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "measure_sampling", untimed)
    run = runs["chain"]
    assert run.record.training is not None
    own = run.record.training.settings["alternatives"]["near"]
    plain = {
        f"{part}.{key}": value for part, values in own.items() for key, value in values.items()
    }
    task = f"table:{run.path}.csv"
    alone = arbench.run(task, "fvsbn", settings=SHORT | plain, device="cpu", out=tmp_path / "run")
    assert alone.record.training is not None
    assert alone.record.training.tried == {}
    assert alone.record.sha256.weights == run.record.sha256.weights


class Stopping(Reporter):
    """Sends a stop signal in the second training, when half of it is done."""

    def __init__(self) -> None:
        self.trainings = 0

    @contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        self.trainings += 1

        def advance(fraction: float, note: str) -> None:
            if self.trainings == 2 and fraction == 0.5:
                os.kill(os.getpid(), signal.SIGINT)

        yield advance


@pytest.mark.parametrize("lost", [False, True])
def test_a_stop_while_it_chooses_changes_nothing(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.setattr(speed, "measure_sampling", untimed)
    run, folder = runs["chain"], tmp_path / "run"
    options: dict[str, Any] = {"settings": SHORT, "device": "cpu", "out": folder}
    with pytest.raises(Interrupted, match=f"arbench resume {folder}`$"):
        arbench.run(f"table:{run.path}.csv", "fvsbn", reporter=Stopping(), **options)
    finished = folder / "checkpoint" / "free" / "checkpoint" / "state.json"
    before = finished.read_bytes()
    assert json.loads(before)["progress"]["step"] == 200
    if lost:  # as if killed between the choice and the checkpoint of what was chosen
        monkeypatch.setattr("arbench.runs.selection.CheckpointStore.load", lambda self: None)
    resumed = arbench.resume(folder, task=f"table:{run.path}.csv", device="cpu")
    assert resumed.record.sha256.weights == run.record.sha256.weights
    assert resumed.record.training is not None
    assert run.record.training is not None
    assert resumed.record.training.tried == run.record.training.tried


def test_seeds_of_one_recipe_agree_in_it_whatever_each_chooses() -> None:
    task = open_task("toy-ising")
    config, _ = resolve(RunRequest(task="toy-ising", model="fvsbn"), task)
    assert {*config.recipe.alternatives} == {"free", "near", "small"}
    decided = [
        config.alternative(name).model_copy(update={"tried": {name: 1.0}, "seed": seed})
        for seed, name in enumerate(config.recipe.alternatives)
    ]
    assert len({str(each.hyperparameters) for each in decided}) == 2  # two have no kernels
    assert {each.recipe_sha256 for each in decided} == {config.recipe_sha256}
    read = [RunConfig.model_validate_json(each.model_dump_json()) for each in decided]
    assert read == decided
    other, _ = resolve(RunRequest(task="toy-ising", model="fvsbn", overrides={"epochs": 7}), task)
    assert other.recipe_sha256 != config.recipe_sha256


def test_a_budget_is_divided_among_alternatives() -> None:
    request = RunRequest(task="toy-ising", model="fvsbn", budget_s=6.0)
    assert resolve(request, open_task("toy-ising"))[0].budget_s == 2.0


def test_what_another_setting_refuses_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies share one order, so of MADE's alternatives the one of six orders cannot be."""
    monkeypatch.setattr(speed, "measure_sampling", untimed)
    settings = {"num_copies": 2, "hidden": [4], "epochs": 1}
    options: dict[str, Any] = {"settings": settings, "limit": 20, "device": "cpu"}
    run = arbench.run("toy-ising", "made", out=tmp_path / "run", **options)
    assert run.record.training is not None
    assert [*run.record.training.tried] == ["dropout"]
    assert run.record.model.num_copies == 2


def test_what_diverges_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "measure_sampling", untimed)
    from arbench.training import trainer

    evaluate = trainer.Trainer.evaluate

    def diverging(self: trainer.Trainer, fraction: float) -> None:
        if self.recipe.weight_decay == 0:
            raise Diverged("as if")
        evaluate(self, fraction)

    monkeypatch.setattr(trainer.Trainer, "evaluate", diverging)
    options: dict[str, Any] = {"settings": SHORT, "limit": 20, "device": "cpu"}
    run = arbench.run("toy-ising", "fvsbn", out=tmp_path / "run", **options)
    assert run.record.training is not None
    assert run.record.training.tried == {
        "free": None,
        "near": None,
        "small": pytest.approx(run.record.splits["validation"].nats_per_event),
    }
    with pytest.raises(Diverged, match="every alternative"):
        arbench.run(
            "toy-ising",
            "fvsbn",
            out=tmp_path / "no",
            **options | {"settings": {**SHORT, "weight_decay": 0.0}},
        )


def test_orders_that_fit_themselves_choose_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees of one level see no pair; those of two do, and the events are pairs."""

    def with_alternatives(request: RunRequest, task: Task) -> tuple[RunConfig, Dataset]:
        config, dataset = resolve(request, task)
        depths = {"shallow": {"network": {"depth": 1}}, "deep": {"network": {"depth": 2}}}
        recipe = config.recipe.model_copy(update={"alternatives": depths})
        return config.model_copy(update={"recipe": recipe}), dataset

    monkeypatch.setattr("arbench.runs.experiment.resolve", with_alternatives)
    monkeypatch.setattr(speed, "measure_sampling", untimed)
    bits = torch.randint(0, 2, (300, 3), generator=torch.Generator().manual_seed(0))
    parity = torch.stack((bits[:, 0], bits[:, 1], bits[:, 0] ^ bits[:, 1]), 1)
    settings = {"num_folds": 2, "num_orderings": 2, "shared_weights": False}
    run = arbench.run(
        write_table(tmp_path / "parity.csv", parity),
        "boosted-trees",
        settings=settings,
        device="cpu",
        out=tmp_path / "run",
    )
    assert chosen(run) == "deep"
    assert run.record.splits["test"].nats_per_event < 2.5 * math.log(2)
