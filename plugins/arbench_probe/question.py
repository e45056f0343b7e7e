"""What a probe is asked: events of three splits to learn from and to tell, and their classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from arbench import Handed, Split, SplitName, uniforms
from arbench_probe.regression import Inputs, probed

Advance = Callable[[float, str], None]
_MOST_VALIDATION = 5000
_BATCH_SIZE = 64
_KEY = 23  # of the order in which train events are drawn


@dataclass(frozen=True)
class Question:
    """Events and their classes.

    Attributes:
        rows: `(D, N)` int64, the train events of each draw, by their places in the split.
        validation_rows: `(M,)` int64, evenly spaced places in that split.
        train: `(D * N, *event_shape)`, these events, draw after draw.
        validation: `(M, *event_shape)`.
        test: `(K, *event_shape)`.
        classes: of the three, `(D, N)`, `(M,)` and `(K,)` int64.
    """

    rows: Tensor
    validation_rows: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    classes: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, dataset: Handed, num_events: int, num_draws: int) -> Question:
        """The question that a dataset puts; see `draws`."""
        labels = [dataset.labels(split).values for split in ("train", "validation", "test")]
        rows = draws(len(labels[0]), num_events, num_draws)
        validation = dataset.split("validation")
        chosen = validation.spread(_MOST_VALIDATION)
        return cls(
            rows,
            chosen,
            dataset.training_events().events[rows.flatten()],
            validation.take(chosen).events,
            dataset.split("test").events,
            (labels[0][rows], labels[1][chosen], labels[2]),
        )

    def in_form(self, split: Callable[[SplitName], Split]) -> Question:
        """The same question about splits that hold the same events in another form, row by row."""
        return replace(
            self,
            train=split("train").events[self.rows.flatten()],
            validation=split("validation").take(self.validation_rows).events,
            test=split("test").events[: len(self.test)],
        )

    def answers(self, described: Callable[[Tensor], Tensor], advance: Advance) -> dict[str, Tensor]:
        """What a probe for each draw says.

        Args:
            described: makes `(B, H)` of events `(B, *event_shape)`.
            advance: receives progress.

        Returns:
            "classes" of the test events, `(D, K)` int64; "strengths", C of each draw, `(D,)`.
        """
        events = (self.train, self.validation, self.test)
        num_events, done, parts = sum(map(len, events)), 0, []
        for each in events:
            made = []
            for batch in torch.split(each, _BATCH_SIZE):
                made.append(described(batch).float().cpu())
                done += len(batch)
                advance(0.8 * done / num_events, "events")
            parts.append(torch.cat(made).numpy())
        of_train, of_validation, of_test = parts
        found, strengths = [], []
        for draw, classes in enumerate(self.classes[0]):
            own = of_train[draw * len(classes) : (draw + 1) * len(classes)]
            inputs = Inputs(own, of_validation, of_test, classes.numpy(), self.classes[1].numpy())
            told, strength = probed(inputs)
            found.append(torch.from_numpy(told))
            strengths.append(strength)
            advance(0.8 + 0.2 * (draw + 1) / len(self.rows), "probes")
        return {
            "classes": torch.stack(found),
            "strengths": torch.tensor(strengths, dtype=torch.float64),
        }


def draws(size: int, num_events: int, num_draws: int) -> Tensor:
    """The train events of each draw, `(D, N)` int64, by their places; no event is in two draws.

    There are as many draws as the split has events for; all its events are one draw if they are
    fewer than `num_events`. The order is a function of the size alone, so that all densities
    and baselines have the same.
    """
    own = min(num_events, size)
    order = torch.from_numpy(uniforms(size, _KEY)).argsort(stable=True)
    num_draws = min(num_draws, size // own)
    return order[: num_draws * own].view(num_draws, own)


def raw(events: Tensor) -> Tensor:
    """The values themselves, `(B, D)`."""
    return events.flatten(1)
