"""Evaluation: batches that fit in memory, however long the events, and every event in its place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from arbench.experiment.evaluation import evaluate_log_probs
from arbench.experiment.tasks import Split
from arbench.probability.density import Density


class Numbering:
    """Says of every event what its first dim holds, and remembers how many came at once."""

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        self.batch_sizes.append(len(events))
        return events[:, 0].double()


@pytest.mark.parametrize(
    ("num_dims", "expected"),
    [(784, [200, 200, 30]), (2048, [128, 128, 128, 46]), (1 << 17, [2] * 215)],
)
def test_long_events_come_in_small_batches(num_dims: int, expected: list[int]) -> None:
    density: Density = Numbering()  # type: ignore[assignment]
    events = torch.arange(430, dtype=torch.int16).unsqueeze(1).expand(-1, num_dims)
    log_probs = evaluate_log_probs(density, Split(events))
    assert density.batch_sizes == expected  # type: ignore[attr-defined]
    assert torch.equal(log_probs, torch.arange(430, dtype=torch.float64))
