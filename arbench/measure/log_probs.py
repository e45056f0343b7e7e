"""The log-probabilities of the test events, which a record's number is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from arbench.errors import DataError
from arbench.files.tensors import load_tensors, save_tensors
from arbench.measure.statistics.metrics import NLL


@dataclass(frozen=True)
class LogProbs:
    """What a number on the test split is made of.

    Attributes:
        values: `(N,)` nats, float64, of each test event.
        groups: `(N,)` int64, where the task has groups of events that are not independent.
    """

    values: Tensor
    groups: Tensor | None = None

    def nll(self, dims: Tensor | int, *, bin_width: float | None, is_stream: bool) -> NLL:
        """The totals of these log-probabilities, with errors over what is independent."""
        return NLL.from_log_probs(
            self.values, dims, bin_width, groups=self.groups, is_stream=is_stream
        )

    def save(self, path: Path) -> str:
        """Write them; returns the sha256 of the file."""
        groups = {} if self.groups is None else {"groups": self.groups}
        return save_tensors(path, {"test": self.values} | groups)

    @classmethod
    def load(cls, path: Path) -> LogProbs:
        """Those in a file, whatever they belong to.

        Raises:
            CheckpointError: if the file is missing or damaged.
            DataError: if there are none in it.
        """
        tensors = load_tensors(path)
        values, groups = tensors.get("test"), tensors.get("groups")
        if values is None or values.dim() != 1 or not values.is_floating_point():
            raise DataError(f"{path}: expected a tensor 'test' of log-probabilities, one per event")
        if groups is not None and (groups.shape != values.shape or groups.dtype != torch.int64):
            raise DataError(f"{path}: expected 'groups' to hold a whole number for each test event")
        return cls(values.double(), groups)
