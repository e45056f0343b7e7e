"""`--init`: a run begins from another's weights, says so, and refuses weights that do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import arbench
from arbench.boards.results import board_fault
from arbench.errors import ConfigError
from arbench.files.atomic import sha256_of
from arbench.runs.config import RunConfig
from arbench.runs.experiment import resume_run
from arbench.runs.folder import RunFolder
from arbench.runs.loading import load_run
from arbench.runs.start.parent import Parent
from arbench.show.reporting import Reporter
from arbench.training.checkpoints import CheckpointStore

SHORT: dict[str, Any] = {"epochs": 1, "limit": 40, "evaluate_test": False}


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_run(folder).network.state_dict()


def _train(out: Path, model: str = "nade", **options: Any) -> Path:
    return arbench.run("toy-markov", model, out=out, **(SHORT | options)).path


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 hidden units, with averaged weights."""
    settings = {"hidden": 12, "ema_decay": 0.9, "learning_rate": 0.05, "batch_size": 8}
    return _train(tmp_path_factory.mktemp("runs") / "parent", settings=settings)


def test_a_training_that_moves_nothing_ends_at_the_parents_weights(
    parent: Path, tmp_path: Path
) -> None:
    child = _train(tmp_path / "child", init=parent, seed=7, settings={"learning_rate": 1e-30})
    own, theirs = _weights(child), _weights(parent)
    assert all(torch.equal(own[name], theirs[name]) for name in theirs)
    training = arbench.Record.read(child / "record.json").training
    assert training is not None
    assert training.parent == "toy-markov/nade"
    assert training.parent_sha256 == sha256_of(parent / "model.safetensors")
    # The parent's recipe, but for what was set here.
    assert training.settings["network"]["hidden"] == 12
    assert training.settings["training"]["batch_size"] == 8
    fresh = _train(tmp_path / "fresh", settings={"hidden": 12}, seed=7)
    recipes = [RunConfig.read(each / "config.json").recipe_sha256 for each in (child, fresh)]
    assert recipes[0] != recipes[1]


def test_the_first_checkpoint_has_weights_and_no_optimiser_and_outlives_the_parent(
    parent: Path, tmp_path: Path
) -> None:
    gone = Path(shutil.copytree(parent, tmp_path / "gone"))
    child = _train(tmp_path / "child", init=gone)
    killed = RunFolder(tmp_path / "killed")
    killed.path.mkdir()
    shutil.copyfile(child / "config.json", killed.config)
    config = RunConfig.read(killed.config)
    Parent.open(gone, "nade").hand_over(config, killed)
    loaded = CheckpointStore(killed.checkpoint).load()
    assert loaded is not None
    assert loaded[0].step == 0
    assert {name.split(".")[0] for name in loaded[1]} == {"network", "average"}
    shutil.rmtree(gone)
    resume_run(killed.path, "cpu", Reporter())
    own, other = _weights(killed.path), _weights(child)
    assert all(torch.equal(own[name], other[name]) for name in other)


def test_a_result_that_began_from_other_weights_is_on_no_board() -> None:
    record = arbench.Record.read(arbench.find_run("mnist-mini/nade") / "record.json")
    assert board_fault(record) is None
    assert record.training is not None
    update = {"parent": "mnist/nade", "parent_sha256": "0" * 64}
    began = record.model_copy(update={"training": record.training.model_copy(update=update)})
    assert "it began from other weights" in str(board_fault(began))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": {"hidden": 13}}, r"input_weight|float32 \["),
        ({"settings": {"order": "permuted"}}, "they learned another order"),
        ({"model": "fvsbn"}, "is a run of nade, not of fvsbn; say --model nade"),
        ({"recipe": "default"}, "--recipe and --init both say how to train"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_is_written(
    parent: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _train(tmp_path / "child", init=parent, **options)
    assert not (tmp_path / "child").exists()


def test_a_zoo_model_is_fine_tuned_on_own_names(tmp_path: Path) -> None:
    file = tmp_path / "towns.txt"
    file.write_text("".join(f"{town}\n" for town in ("ulm", "bonn", "kiel", "jena") * 5))
    task = f"words:{file}"
    run = arbench.run(task, "lstm", init="names/lstm", epochs=1, out=tmp_path / "run")
    training = run.record.training
    assert training is not None
    assert (training.parent, training.recipe) == ("names/lstm", "lstm/names")
    config = RunConfig.read(run.path / "config.json")
    assert config.shown == arbench.open_run("names/lstm").rendering
    again = arbench.evaluate(run.path, task=task)
    assert again.total_nats == pytest.approx(run.record.splits["test"].total_nats, rel=1e-5)
    before = arbench.evaluate("names/lstm", task=task, foreign=True, split="train")
    assert arbench.evaluate(run.path, task=task, split="train").total_nats < before.total_nats
    assert str(file) not in (run.path / "record.json").read_text()
