"""A network spread over two processes learns what one learns, and they share checkpoints."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState

from arbench.api import untrained
from arbench.data.dataset import Dataset
from arbench.data.tasks import open_task
from arbench.errors import ConfigError
from arbench.files.atomic import sha256_of
from arbench.files.tensors import load_tensors
from arbench.measure.processes import Processes
from arbench.probability.layouts import Layout
from arbench.show.reporting import Reporter
from arbench.training import trainer as trainer_module
from arbench.training.batches import TrainingBatches
from arbench.training.checkpoints import CheckpointStore
from arbench.training.devices import make_accelerator
from arbench.training.recipes import TrainingRecipe
from arbench.training.sharding import ShardedTrainer
from arbench.training.trainer import Trainer
from tests.training.test_processes import _free_port
from tests.training.test_sharing import forked

STEPS = 50
RECIPE = TrainingRecipe(
    batch_size=9, learning_rate=0.001, optimizer="adamw", weight_decay=0.1, clip_norm=0.5,
    schedule="constant", evaluations=2, epochs=1,
)  # fmt: skip


def trained(folder: Path, count: int, steps: int, **changes: object) -> list[int]:
    """Exit codes of processes that train to a number of steps; what they keep is in a folder."""
    port = str(_free_port())

    def one(rank: int) -> int:
        if count > 1:
            names = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "RANK": rank}
            names |= {"LOCAL_RANK": rank, "MASTER_PORT": port, "MASTER_ADDR": "127.0.0.1"}
            os.environ.update({name: str(value) for name, value in names.items()})
        # Clocks of two machines differ, and here by much.
        trainer_module.time = SimpleNamespace(monotonic=lambda: (1 + rank) * time.monotonic())
        AcceleratorState._reset_state(reset_partial_state=True)
        accelerator = make_accelerator("cpu", "float32")
        dataset = Dataset(open_task("toy-markov"), limit=63)
        torch.manual_seed(0)
        task, train = dataset.task, dataset.split("train")
        model = untrained("gpt", Layout(task.spec), width=8, num_heads=2, num_layers=2, dropout=0.0)
        trainer = (Trainer if count == 1 else ShardedTrainer)(
            network=model.network,
            members=[model],
            density=model,
            batches=TrainingBatches(
                task, train, batch_size=9, seed=0, device=accelerator.device, process=rank,
                num_processes=count,
            ),
            validation=dataset.split("validation"),
            recipe=RECIPE.model_copy(update=changes),
            num_steps=steps,
            budget_s=None,
            seed=0,
            compile_loss=None,
            accelerator=accelerator,
            store=CheckpointStore(folder / "checkpoint"),
            metrics=folder / "metrics.jsonl",
            reporter=Reporter(),
            processes=Processes() if count > 1 else None,
        )  # fmt: skip
        try:
            trainer.run()
        except ConfigError as error:
            (folder / f"{rank}.txt").write_text(str(error))
            torch.distributed.barrier()  # else the first to leave takes what the others meet at
            return error.exit_code
        return 0

    folder.mkdir(exist_ok=True)
    return forked(one, count)


def losses(folder: Path) -> list[float]:
    """Of training and validation, at every evaluation."""
    lines = map(json.loads, (folder / "metrics.jsonl").open())
    keys = ("train_nats_per_event", "validation_nats_per_event")
    return [line[key] for line in lines for key in keys]


def kept(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of the checkpoint: weights, the best of them, and moments."""
    (file,) = (folder / "checkpoint").glob("*.safetensors")
    return load_tensors(file, sha256=sha256_of(file))


def test_two_processes_learn_what_one_learns_and_go_on_from_each_other(tmp_path: Path) -> None:
    assert trained(tmp_path / "one", 1, STEPS) == [0]
    assert trained(tmp_path / "two", 2, STEPS, checkpoint_seconds=0.2) == [0, 0]
    lines = {name: losses(tmp_path / name) for name in ("one", "two")}
    assert len(lines["one"]) == 4
    assert lines["two"] == pytest.approx(lines["one"], rel=1e-5)

    assert trained(tmp_path / "half", 2, STEPS // 2) == [0, 0]
    shutil.copytree(tmp_path / "half", tmp_path / "alone")
    assert trained(tmp_path / "half", 2, STEPS) == [0, 0]
    assert trained(tmp_path / "alone", 1, STEPS, evaluations=4) == [0]  # two are left
    two, half, alone = (kept(tmp_path / name) for name in ("two", "half", "alone"))
    assert [*two] == [*half] == [*alone]
    state = [name for name in two if not name.startswith("best.")]
    for name in state:
        assert torch.equal(half[name], two[name]), name
    assert losses(tmp_path / "alone")[-1] == pytest.approx(lines["one"][-1], rel=1e-5)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"ema_decay": 0.9}, "the average of weights: set ema_decay to 0"),
        ({"optimizer": "sgd"}, "sgd: set another optimizer"),
    ],
)
def test_what_does_not_go_with_it_is_refused(
    tmp_path: Path, change: dict[str, object], what: str
) -> None:
    assert trained(tmp_path, 2, STEPS, **change) == [2, 2]
    said = {(tmp_path / f"{rank}.txt").read_text() for rank in range(2)}
    assert said == {f"--shard does not go with {what}"}
