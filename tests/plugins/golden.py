"""What a seed gives: samples, initial weights and a few steps of training, for every model.

`golden.json` beside this file holds what `python tests/plugins/golden.py` found, run by somebody
who means to change it. Samples are made in float64, of weights that a stream of integers gives, and
so are the same on every processor; none of them changes when all weights grow by a millionth.
Weights are kept as sums, which the rounding of another processor moves a little.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from making import untimed
from torch import Tensor, nn

import arbench
from arbench.data.dataset import Dataset
from arbench.files.tensors import load_tensors
from arbench.measure import speed
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.flows.flow import Flow, is_flow
from arbench.probability.heads import natural_head
from arbench.probability.model import Model
from arbench.probability.randomness import derive_seed, uniforms
from arbench.registry.entries import HeadEntry, ModelEntry
from arbench.registry.manager import registry
from arbench.registry.source import recipe_names
from arbench.runs.config import plan_members
from arbench.testing.conformance import subjects
from arbench.testing.subject import NotApplicableError, TinySubject, learn
from arbench.training.recipes import Recipe, check_options, resolve_recipe

FILE = Path(__file__).with_name("golden.json")
NUM_SAMPLES = 4
LARGEST = 1_000_000  # parameters of a recipe whose weights are drawn here
KINDS = (
    "binary-3x3 raster",
    "binary-3x3 permuted",
    "colour-1x2 raster",
    "sequence-5 raster",
    "pixels-2x2 raster",
    "real-2x2 raster",
    "real-5 permuted",
    "real-2x2",  # of flows, which have no order
    "real-5",
)
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


def build(model: str, recipe: Recipe, spec: EventSpec, device: str = "cpu") -> nn.Module:
    """The network of a recipe, on "meta" without memory for its weights."""
    layout = plan_members(recipe, spec)[0].layout.build()
    network_class = registry().find(ModelEntry, model).load()
    if is_flow(network_class):
        with torch.device(device):
            return network_class(spec, **recipe.network)
    head_name = natural_head(layout).name if recipe.head.name == "auto" else recipe.head.name
    head_class = registry().find(HeadEntry, head_name).load()
    head = head_class(layout, **dict(check_options(head_class, recipe.head.options)))
    with torch.device(device):
        network: nn.Module = network_class(layout, head.num_params, **recipe.network)
    return network


def recipe_of(model: str, recipe_name: str) -> tuple[str, Recipe, list[EventSpec]]:
    """The full name of a recipe, its values, and the events that it may be for."""
    offer = registry().find(ModelEntry, model)
    name, recipe = resolve_recipe(offer.entry, offer.load(), recipe_name)
    task = re.sub(r"-\d+m$", "", recipe_name)  # a quick recipe is for the task before its minutes
    if task in registry().tasks:
        return name, recipe, [Dataset(task, **dict(recipe.stream)).task.spec]
    return name, recipe, SPECS


def keyed_model(subject: TinySubject[Any], stretch: float = 1.0) -> Model | Flow:
    """A model of peaked conditionals, its weights of keyed integers and its counts of events.

    Of reals the weights are small: what large ones give runs away from site to site.
    """
    model = subject.fresh()
    if hasattr(model.network, "fit"):
        events = subject.sharpening_events
        learn(model, events, subject.tiny.scored(events), num_steps=0, learning_rate=0.0)
    scale = 0.4 if subject.tiny.is_real else 1.6
    with torch.no_grad():
        for index, weight in enumerate(model.parameters()):
            values = torch.from_numpy(uniforms(weight.numel(), 21, index))
            weight.copy_(scale * stretch * (values - 0.5).view_as(weight))
    return model


def samples_of(model: Model | Flow) -> str | list[float]:
    """Four samples for seed 0: digits, an event after the other, or reals to six of theirs."""
    samples = model.sample(NUM_SAMPLES, generator=torch.Generator().manual_seed(0)).flatten(1)
    if samples.is_floating_point():
        return [round(value, 6) for value in samples.flatten().tolist()]
    return " ".join("".join(map(str, event)) for event in samples.tolist())


def golden_samples(model: str, stretch: float = 1.0) -> dict[str, str | list[float]]:
    """Samples of a model on one kind of tiny events after the other, where it can describe them."""
    found = {}
    own = subjects(registry().find(ModelEntry, model).load())
    for name in (kind for kind in KINDS if kind in own):
        try:
            found[name] = samples_of(keyed_model(own[name], stretch))
        except NotApplicableError:
            continue
    return found


def fingerprint(weights: Mapping[str, Tensor]) -> list[float]:
    """How many numbers, the sum of their sizes, and a sum that depends on where each of them is."""
    count, size, placed = 0, 0.0, 0.0
    for _, value in sorted(weights.items()):
        flat = value.detach().double().flatten()
        place = torch.arange(count, count + len(flat)).mul(7919).remainder(1009).double() / 1009
        count += len(flat)
        size += flat.abs().sum().item()
        placed += (flat * (place - 0.5)).sum().item()
    return [count, size, placed]


def initial_weights(model: str, recipe_name: str) -> list[float] | None:
    """The fingerprint of what a recipe's training begins with for seed 0.

    Of a recipe for no task in particular, on the first events that its model can describe; None
    where there are more than a million parameters, or none.
    """
    _, recipe, specs = recipe_of(model, recipe_name)
    for spec in specs:
        try:
            sizes = [weight.numel() for weight in build(model, recipe, spec, "meta").parameters()]
        except ValueError:
            continue
        if not 0 < sum(sizes) <= LARGEST:
            return None
        torch.manual_seed(derive_seed(0, "init"))
        return fingerprint(build(model, recipe, spec).state_dict())
    raise AssertionError(f"{model} describes none of {specs}")


def train(model: str, folder: Path) -> None:
    """Twelve steps with a checkpoint after each, three evaluations and averaged weights."""
    network = registry().find(ModelEntry, model).load()
    tiny = getattr(network, "tiny_hyperparameters", {})
    settings: dict[str, Any] = {f"network.{key}": value for key, value in tiny.items()}
    settings |= {"batch_size": 10, "checkpoint_seconds": 0, "evaluations": 3, "ema_decay": 0.9}
    if "dropout" in inspect.signature(network).parameters:
        settings["dropout"] = 0.1
    task = "toy-ar1" if model in ("rnade", "tarflow") else "toy-ising"
    _, recipe = resolve_recipe(registry().find(ModelEntry, model).entry, network, task)
    if recipe.alternatives:  # one training, and not several
        settings["alternative"] = next(iter(recipe.alternatives))
    arbench.run(task, model, settings=settings, epochs=2, limit=60, device="cpu", out=folder)


def trained_weights(folder: Path) -> list[float]:
    """The fingerprint of a run's weights."""
    return fingerprint(load_tensors(folder / "model.safetensors"))


def golden() -> Iterator[tuple[str, Any]]:
    """All that is pinned."""
    models = [*registry().models]
    samples = {model: golden_samples(model) for model in models}
    for model, found in samples.items():
        moved = golden_samples(model, 1 + 1e-6)
        digits = [(k, v, moved[k]) for k, v in found.items() if isinstance(v, str)]
        assert all(v == other for _, v, other in digits), (model, digits)
    yield "samples", samples
    yield "initial", {f"{m}/{r}": found for m, r in RECIPES if (found := initial_weights(m, r))}
    trained = {}
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            train(model, Path(folder, "run"))
            trained[model] = trained_weights(Path(folder, "run"))
    yield "trained", trained


if __name__ == "__main__":
    speed.measure_sampling = untimed
    torch.set_num_threads(1)
    FILE.write_text(json.dumps(dict(golden()), indent=1) + "\n")
    sys.exit(f"{FILE} is written: read its difference, and name every change in the CHANGELOG")
