"""What holds for every registered model alike: recipes that fit, dropout, and killed trainings."""

from __future__ import annotations

import functools
import inspect
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import FILE, RECIPES, build, recipe_of, train, trained_weights
from making import untimed

import arbench
from arbench.files.atomic import sha256_of
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.training.batches import Batch, TrainingBatches

# Of the sum of all weights' sizes.
TOLERANCE = 1e-4


@pytest.mark.parametrize(("model", "recipe_name"), RECIPES)
def test_a_recipe_builds_a_network_for_its_task(model: str, recipe_name: str) -> None:
    name, recipe, specs = recipe_of(model, recipe_name)
    assert name == f"{model}/{recipe_name}"
    assert (recipe_name == "default") == (len(specs) > 1)
    problems = []
    for spec in specs:
        try:
            network = build(model, recipe, spec, "meta")
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
    network_class = registry().find(ModelEntry, model).load()
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


def outcome(folder: Path) -> tuple[str, list[dict[str, float]]]:
    """The weights' hash, and the metrics but for the clock."""
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    return sha256_of(folder / "model.safetensors"), [
        {key: value for key, value in line.items() if key != "seconds"} for line in metrics
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A finished run of a model, made once."""

    @functools.cache
    def run(model: str) -> Path:
        folder = tmp_path_factory.mktemp(model) / "undisturbed"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("arbench.measure.speed.measure_sampling", untimed)
            train(model, folder)
        return folder

    return run


@pytest.mark.parametrize("model", registry().models)
def test_a_training_of_a_seed_ends_where_it_ended(
    model: str, undisturbed: Callable[[str], Path]
) -> None:
    """Another processor rounds otherwise; another order, mask or rate moves weights far more."""
    count, *expected = json.loads(FILE.read_text())["trained"][model]
    found = trained_weights(undisturbed(model))
    assert found[0] == count
    assert found[1:] == pytest.approx(expected, abs=TOLERANCE * expected[0])


@pytest.mark.parametrize("model", registry().models)
def test_a_killed_training_resumes_to_the_same_bytes(
    model: str,
    undisturbed: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undisturbed(model)
    monkeypatch.setattr("arbench.measure.speed.measure_sampling", untimed)

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
    fits = hasattr(registry().find(ModelEntry, model).load(), "fit")  # has no checkpoints
    assert taken == list(range(0 if fits else 7, 12))
    assert outcome(tmp_path / "killed") == outcome(undisturbed(model))
