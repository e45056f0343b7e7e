"""How many of its samples a model has copied from train events."""

from __future__ import annotations

from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

from arbench import Context, Density, Discrete, Handed, ImageRendering, Measured, Measurement, Split

BATCH_SIZE = 100
MOST_SHOWN = 16  # copies in the picture


class Copies(Measurement):
    """The share of samples that equal a train event in every dim that is scored in that event.

    If few different events are likely, a good model repeats some by chance, and so do the data. So
    the baseline is the share of test events that equal a train event.

    Args:
        num_samples: number of samples.
    """

    name = "copies"
    version = "1"
    unit = "share of samples"
    better = "lower"
    reads = ("train", "test")
    needs = ("sample",)
    tiny_settings: ClassVar = {"num_samples": 30}

    def __init__(self, *, num_samples: int = 1000) -> None:
        if num_samples < 1:
            raise ValueError(f"num_samples is {num_samples}, expected 1 or more")
        self.num_samples = num_samples

    def refuses(self, density: Density, dataset: Handed) -> str | None:
        """See `Measurement.refuses`."""
        if not isinstance(dataset.spec.domain, Discrete):
            return f"the dims of {dataset.name} are real numbers: two events are never quite equal"
        if dataset.windows is not None:
            return f"{dataset.name} is one sequence, and its windows begin at arbitrary places"
        try:
            dataset.spec.validate(dataset.split("train").events)
        except ValueError:
            return f"the train events of {dataset.name} are drawn anew in every epoch"
        return None

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """See `Measurement.measure`."""
        train, test = dataset.split("train"), dataset.split("test")
        batches = []
        for start in range(0, self.num_samples, BATCH_SIZE):
            count = min(BATCH_SIZE, self.num_samples - start)
            batches.append(density.sample(count, generator=context.generator("samples", start)))
        samples = torch.cat(batches).cpu()
        copied = copies_of(train, samples)
        among_test = copies_of(train, test.events).double().mean().item()
        pictures = []
        if isinstance(dataset.rendering, ImageRendering) and bool(copied.any()):
            pictures.append(context.folder / "copies.png")
            draw(samples[copied][:MOST_SHOWN]).save(pictures[0])
        return self.measured(
            {"copied": copied.double()},
            index="samples",
            baselines=[self.row("test events", among_test)],
            details={"num_train_events": len(train), "num_copied": int(copied.sum())},
            pictures=pictures,
        )


def copies_of(train: Split, events: Tensor) -> Tensor:
    """Which events `(N, *event_shape)` equal a train event where it is scored, `(N,)` boolean."""
    flat, originals = events.flatten(1).int(), train.events.flatten(1).int()
    masks, which = torch.ones(1, flat.shape[1], dtype=torch.bool), torch.zeros(len(train))
    if train.scored is not None:
        masks, which = torch.unique(train.scored.flatten(1), dim=0, return_inverse=True)
    copied = torch.zeros(len(events), dtype=torch.bool)
    for number, mask in enumerate(masks):
        known = {row.tobytes() for row in originals[which == number][:, mask].numpy()}
        copied |= torch.tensor([row.tobytes() in known for row in flat[:, mask].numpy()])
    return copied


def draw(images: Tensor) -> Image.Image:
    """A row of images `(B, C, H, W)` with C 1 or 3, four times as large; the brightest is white."""
    row = torch.cat([*images], dim=-1) * 255 // images.max().clamp(min=1)  # (C, H, B * W)
    large = row.repeat_interleave(4, -1).repeat_interleave(4, -2).byte().permute(1, 2, 0)
    return Image.fromarray(large.expand(-1, -1, 3).contiguous().numpy())
