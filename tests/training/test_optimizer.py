"""One step of each optimiser, against its formula and against torch's own classes."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from arbench.training.optimizer import Moments, update
from arbench.training.recipes import TrainingRecipe


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_weight_decay_shrinks_matrices_and_leaves_biases(optimizer: str) -> None:
    """Without a gradient SGD and AdamW multiply by 1 - rate * decay; Adam takes it for one."""
    network = nn.Linear(3, 2)
    recipe = TrainingRecipe(optimizer=optimizer, learning_rate=0.1, weight_decay=0.3)
    weight, bias = (p.detach().clone() for p in network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    update(network, {}, recipe, recipe.learning_rate)
    assert torch.equal(network.bias, bias)
    expected = weight - 0.1 * weight.sign() if optimizer == "adam" else weight * (1 - 0.1 * 0.3)
    torch.testing.assert_close(network.weight.detach(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_forgets_at_the_rates_of_the_recipe(optimizer: str) -> None:
    """With bias-corrected means, by hand: gradients 1 and -3, betas 0.5 and 0.75."""
    weight = nn.Parameter(torch.zeros(1))
    network = nn.Module()
    network.weight = weight
    recipe = TrainingRecipe(optimizer=optimizer, learning_rate=0.1, betas=(0.5, 0.75))
    moments: Moments = {}
    for value in (1.0, -3.0):
        weight.grad = torch.tensor([value])
        update(network, moments, recipe, recipe.learning_rate)
    first = (0.5 * 0.5 * 1 + 0.5 * -3) / (1 - 0.5**2)
    second = (0.75 * 0.25 * 1 + 0.25 * 9) / (1 - 0.75**2)
    assert weight.item() == pytest.approx(-0.1 - 0.1 * first / math.sqrt(second), rel=1e-5)


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_steps_are_those_of_torchs_optimisers_to_the_bit(kind: str) -> None:
    """The last layer comes late, as that of a member, and the rate changes."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(9, 6), nn.LayerNorm(6), nn.Linear(6, 4), nn.Linear(4, 1))
    other = copy.deepcopy(network)
    recipe = TrainingRecipe(optimizer=kind, weight_decay=0.1, betas=(0.8, 0.9))
    decayed = [p for p in other.parameters() if p.dim() >= 2]
    groups = [
        {"params": decayed, "weight_decay": 0.1},
        {"params": [p for p in other.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    theirs: torch.optim.Optimizer
    if kind == "sgd":
        theirs = torch.optim.SGD(groups, momentum=0.9, fused=True)
    else:
        options = {"betas": recipe.betas, "fused": True}
        theirs = (torch.optim.Adam if kind == "adam" else torch.optim.AdamW)(groups, **options)
    comes_late = 0 if kind == "sgd" else 2  # torch's fused SGD fails there
    moments: Moments = {}
    for step in range(5):
        events = torch.randn(7, 9)
        for own in (network, other):
            own[: 3 if step < comes_late else 4](events).square().sum().backward()
        update(network, moments, recipe, 0.1 / (step + 1))
        for group in theirs.param_groups:
            group["lr"] = 0.1 / (step + 1)
        theirs.step()
        theirs.zero_grad()
    for weight, expected in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(weight, expected)
    kept = theirs.state_dict()["state"]
    assert {number: state.keys() for number, state in moments.items()} == {
        number: state.keys() for number, state in kept.items()
    }
    for number, state in moments.items():
        for name, value in state.items():
            assert torch.equal(value, kept[number][name])


def test_momentum_of_what_comes_late_begins_with_its_first_gradient() -> None:
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    recipe = TrainingRecipe(optimizer="sgd")
    before, moments = [p.item() for p in network.parameters()], Moments()
    for gradients in ((1.0, None), (1.0, 1.0), (0.0, 0.0)):
        for weight, gradient in zip(network.parameters(), gradients, strict=True):
            weight.grad = None if gradient is None else torch.full_like(weight, gradient)
        update(network, moments, recipe, 0.1)
    moved = [old - p.item() for old, p in zip(before, network.parameters(), strict=True)]
    assert moved == pytest.approx([0.1 * (1 + 1.9 + 1.71), 0.1 * (1 + 0.9)], rel=1e-5)
