"""What holds for every registered model alike: recipes that fit, dropout, and killed trainings."""

from __future__ import annotations

import inspect
import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import arbench
from arbench.experiment import run as run_module
from arbench.experiment.batches import Batch, TrainingBatches
from arbench.experiment.config import make_head, plan_members
from arbench.experiment.files import sha256_of
from arbench.experiment.recipes import Recipe, resolve_recipe
from arbench.experiment.request import task_of_events
from arbench.experiment.tasks import open_task
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.registry.manager import registry
from arbench.registry.source import recipe_names

# Recipes that name no task are for one of these, and a model that draws no images for another.
SPECS = [
    EventSpec((1, 28, 28), Discrete(2)),
    EventSpec((3, 8, 8), Discrete(4)),
    EventSpec((9,), Discrete(5)),
    EventSpec((6,), Real()),
]
RECIPES = [
    (name, recipe)
    for name, offer in registry().models.items()
    for recipe in recipe_names(offer.entry.recipes)
]


def build(model: str, recipe: Recipe, spec: EventSpec) -> torch.nn.Module:
    """The network of a recipe, without memory for its weights."""
    layout = plan_members(recipe, spec)[0].layout.build()
    head_name = natural_head(layout).name if recipe.head.name == "auto" else recipe.head.name
    head = make_head(head_name, layout, recipe.head.options)
    with torch.device("meta"):
        network: torch.nn.Module = (
            registry().model(model).load()(layout, head.num_params, **recipe.network)
        )
    return network


@pytest.mark.parametrize(("model", "recipe_name"), RECIPES)
def test_a_recipe_builds_a_network_for_its_task(model: str, recipe_name: str) -> None:
    offer = registry().model(model)
    name, recipe = resolve_recipe(offer.entry, offer.load(), recipe_name)
    assert name == f"{offer.entry.name}/{recipe_name}"
    if recipe_name in registry().tasks:
        specs = [task_of_events(open_task(recipe_name), recipe).spec]
    else:
        assert recipe_name == "default"
        specs = SPECS
    problems = []
    for spec in specs:
        try:
            network = build(model, recipe, spec)
        except ValueError as error:
            problems.append(f"{spec}: {error}")
        else:
            assert all(weight.is_meta for weight in network.parameters())
    assert len(problems) < len(specs), problems


@pytest.mark.parametrize(
    "model",
    [
        name
        for name, offer in registry().models.items()
        if "dropout" in inspect.signature(offer.load()).parameters
    ],
)
def test_dropout_acts_in_training_alone(model: str) -> None:
    network_class = registry().model(model).load()
    layout = Layout(EventSpec((1, 4, 4), Discrete(2)))
    tiny = getattr(network_class, "tiny_hyperparameters", {})
    network = network_class(layout, 1, **tiny, dropout=0.5).double().eval()
    with torch.no_grad():
        for weight in network.parameters():  # some start where no unit is seen
            weight.add_(0.3 * torch.randn_like(weight))
    sites = torch.randint(2, (4, layout.num_sites, 1))
    assert torch.equal(network(sites), network(sites))
    network.train()
    assert not torch.equal(network(sites), network(sites))


def train(model: str, folder: Path) -> None:
    """Twelve steps with a checkpoint after each, three evaluations and averaged weights."""
    network = registry().model(model).load()
    tiny = getattr(network, "tiny_hyperparameters", {})
    settings: dict[str, Any] = {f"network.{key}": value for key, value in tiny.items()}
    settings |= {"batch_size": 10, "checkpoint_seconds": 0, "evaluations": 3, "ema_decay": 0.9}
    if "dropout" in inspect.signature(network).parameters:
        settings["dropout"] = 0.1
    task = "toy-ar1" if model == "rnade" else "toy-ising"
    arbench.run(task, model, settings=settings, epochs=2, limit=60, device="cpu", out=folder)


def outcome(folder: Path) -> tuple[str, list[dict[str, float]]]:
    """The weights' hash, and the metrics but for the clock."""
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    return sha256_of(folder / "model.safetensors"), [
        {key: value for key, value in line.items() if key != "seconds"} for line in metrics
    ]


@pytest.mark.parametrize("model", registry().models)
def test_a_killed_training_resumes_to_the_same_bytes(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "measure_sampling", lambda *arguments, **options: [])
    train(model, tmp_path / "undisturbed")

    def child() -> None:
        take = TrainingBatches.batch

        def die(batches: TrainingBatches, step: int) -> Batch:
            if step == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            return take(batches, step)

        TrainingBatches.batch = die  # type: ignore[method-assign]
        train(model, tmp_path / "killed")

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "record.json").exists()
    take = TrainingBatches.batch
    taken: list[int] = []

    def note(batches: TrainingBatches, step: int) -> Batch:
        taken.append(step)
        return take(batches, step)

    monkeypatch.setattr(TrainingBatches, "batch", note)
    arbench.resume(tmp_path / "killed", device="cpu")
    fits = hasattr(registry().model(model).load(), "fit")  # has no checkpoints
    assert taken == list(range(0 if fits else 7, 12))
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "undisturbed")
