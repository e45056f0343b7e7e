"""The classifier that is attacked: a small convolutional network, an artifact of the dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_BATCH, _RATE = 50, 2e-3


class Classifier(nn.Module):
    """Two convolutions, each with a pooling, and two linear layers.

    Args:
        shape: `(C, H, W)` of the images.
        num_classes: of the labels.
        hidden: units of the first linear layer.
    """

    def __init__(self, shape: tuple[int, ...], num_classes: int, *, hidden: int = 128) -> None:
        super().__init__()
        channels, height, width = shape
        self.near = nn.Conv2d(channels, 8, 5, padding=2)
        self.far = nn.Conv2d(8, 16, 5, padding=2)
        self.hidden = nn.Linear(16 * -(-height // 4) * -(-width // 4), hidden)
        self.last = nn.Linear(hidden, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(B, num_classes)` of images `(B, C, H, W)` in [0, 1]."""
        x = images
        for layer in (self.near, self.far):
            x = F.max_pool2d(F.relu(layer(x)), 2, ceil_mode=True)
        logits: Tensor = self.last(F.relu(self.hidden(x.flatten(1))))
        return logits


def trained(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    num_epochs: int,
    generator: torch.Generator,
    progress: Callable[[int], object],
) -> dict[str, Tensor]:
    """The weights of a classifier, trained by Adam with a learning rate that falls to 0.

    Args:
        images: `(N, C, H, W)` in [0, 1].
        labels: `(N,)` int64.
        num_classes: how many there are.
        num_epochs: how often it sees each image.
        generator: of the first weights and of the order of the images.
        progress: called with how many images more it has seen.
    """
    model = _unset(tuple(images.shape[1:]), num_classes)
    for weight in model.parameters():
        if weight.dim() > 1:
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
        else:
            nn.init.zeros_(weight)
    optimiser = torch.optim.Adam(model.parameters(), lr=_RATE)
    num_steps = num_epochs * -(-len(images) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, num_steps)
    with torch.enable_grad():
        for _ in range(num_epochs):
            for rows in torch.split(torch.randperm(len(images), generator=generator), _BATCH):
                loss = F.cross_entropy(model(images[rows]), labels[rows])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
                schedule.step()
                progress(len(rows))
    return model.state_dict()


def loaded(weights: Mapping[str, Tensor], shape: tuple[int, ...], num_classes: int) -> Classifier:
    """The classifier that has these weights, in evaluation mode."""
    model = _unset(shape, num_classes)
    model.load_state_dict(dict(weights))
    return model.eval()


def _unset(shape: tuple[int, ...], num_classes: int) -> Classifier:
    """One whose weights are anything: torch's own first ones come from a global generator."""
    with torch.device("meta"):
        model = Classifier(shape, num_classes)
    return model.to_empty(device="cpu")
