"""The optimiser of a recipe."""

from __future__ import annotations

import torch
from torch import nn

from arbench.training.recipes import TrainingRecipe


def make_optimizer(
    network: nn.Module, recipe: TrainingRecipe, device: torch.device
) -> torch.optim.Optimizer:
    """The recipe's optimiser; weight decay applies to tensors of two or more dimensions."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = device.type in ("cpu", "cuda")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, fused=fused)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=fused)
