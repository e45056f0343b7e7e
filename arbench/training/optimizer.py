"""Steps of the optimiser of a recipe: Adam, AdamW or SGD, by torch's own functions.

torch.optim's classes load torch's compiler when the first of them is made: 80 MB, and more than a
second, for runs that compile nothing. The functions behind them do not.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from arbench.training.recipes import TrainingRecipe

_adam = partial(adam, eps=1e-8, amsgrad=False, maximize=False)  # torch's own epsilon
_sgd = partial(sgd, momentum=0.9, dampening=0, nesterov=False, maximize=False)

Moments = dict[int, dict[str, Tensor]]
"""What the optimiser keeps of each parameter that had a gradient once, by its number."""


def trained(network: nn.Module) -> list[nn.Parameter]:
    """The parameters in the order of their numbers: those of two or more dimensions first."""
    return sorted((p for p in network.parameters() if p.requires_grad), key=lambda p: p.dim() < 2)


@torch.no_grad()
def update(network: nn.Module, moments: Moments, recipe: TrainingRecipe, rate: float) -> None:
    """Change the parameters by their gradients, which are gone afterwards.

    Weight decay applies to tensors of two or more dimensions.

    Args:
        network: whose parameters; one without a gradient stays, as that of a member whose turn it
            is not.
        moments: of the steps before; changed in place.
        recipe: says by what rule.
        rate: the learning rate of this step.
    """
    numbered = [(n, p) for n, p in enumerate(trained(network)) if p.grad is not None]
    for decays in (True, False):
        own = [(number, p) for number, p in numbered if (p.dim() >= 2) == decays]
        if not own:
            continue
        weights: list[Tensor] = [p for _, p in own]
        gradients = [p.grad for _, p in own if p.grad is not None]
        states = [moments.setdefault(number, {}) for number, _ in own]
        decay = recipe.weight_decay if decays else 0.0
        fused = weights[0].device.type in ("cpu", "cuda")
        for weight, state in zip(weights, states, strict=True):
            if not state and recipe.optimizer == "sgd":
                state["momentum_buffer"] = torch.zeros_like(weight)
            elif not state:
                state["step"] = torch.zeros((), device=weight.device if fused else "cpu")
                state["exp_avg"] = torch.zeros_like(weight)
                state["exp_avg_sq"] = torch.zeros_like(weight)
        if recipe.optimizer == "sgd":
            _sgd(
                weights,
                gradients,
                [state["momentum_buffer"] for state in states],
                fused=fused,
                weight_decay=decay,
                lr=rate,
            )
        else:
            _adam(
                weights,
                gradients,
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=fused,
                decoupled_weight_decay=recipe.optimizer == "adamw",
                beta1=recipe.betas[0],
                beta2=recipe.betas[1],
                lr=rate,
                weight_decay=decay,
            )
    for _, parameter in numbered:
        parameter.grad = None
