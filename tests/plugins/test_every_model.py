"""What holds for every registered model alike: recipes that fit their tasks, and dropout."""

from __future__ import annotations

import inspect

import pytest
import torch

from arbench.experiment.config import make_head, plan_members
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
