"""The log-probabilities of the test events, saved and loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from arbench.errors import DataError
from arbench.measure.per_event import EventValues, load_per_event, save_per_event
from arbench.measure.statistics.metrics import NLL

_KEY, _NAME = "likelihood", "log_prob"


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

    @property
    def per_event(self) -> dict[str, EventValues]:
        """Them, as the file of a run holds them."""
        return {_KEY: EventValues({_NAME: self.values}, self.groups)}

    def save(self, path: Path) -> str:
        """Write them alone; returns the sha256 of the file."""
        return save_per_event(path, self.per_event)

    @classmethod
    def load(cls, path: Path) -> LogProbs:
        """Those in a file, whatever they belong to.

        Raises:
            CheckpointError: if the file is missing or damaged.
            DataError: if there are none in it.
        """
        result = load_per_event(path).get(_KEY)
        if result is None or _NAME not in result.values:
            raise DataError(f"{path}: there are no log-probabilities of test events in it")
        return cls(result.values[_NAME], result.groups)
