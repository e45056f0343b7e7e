"""Everything that is summed over the scored dims of a split, in one pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arbench import Diverged, EventSpec
from arbench_calibration.bins import BinSums
from arbench_calibration.places import Places
from arbench_calibration.symbols import Symbols
from arbench_calibration.temperature import gains
from arbench_calibration.transform import Transforms


class Sums:
    """Sums over dims.

    Args:
        num_events: N.
        spec: of the events.
        edges: of bins of equal width.
        even_edges: of bins of equal mass.
        generator: of the randomised transform.

    Attributes:
        bins: of equal width, by event.
        even: of equal mass, by event.
        places: rows or positions.
        by_place: of equal width, by row or position.
        transforms: by event.
        gains: nats that the temperature gains, by event, `(N,)` float64.
    """

    def __init__(
        self,
        num_events: int,
        spec: EventSpec,
        edges: Tensor,
        even_edges: Tensor,
        generator: torch.Generator,
    ) -> None:
        self.bins = BinSums(num_events, edges)
        self.even = BinSums(num_events, even_edges)
        self.places = Places.of(spec)
        self.by_place = BinSums(self.places.count, edges)
        self.transforms = Transforms(num_events, generator)
        self.gains = torch.zeros(num_events, dtype=torch.float64)

    def add(self, symbols: Symbols, temperature: float) -> None:
        """Add some dims.

        Raises:
            Diverged: at the first whose own value is impossible.
        """
        predicted, happened = symbols.predicted()
        self.bins.add(symbols.events, predicted, happened)
        self.even.add(symbols.events, predicted, happened)
        self.by_place.add(self.places.of_dim[symbols.places], predicted, happened)
        self.transforms.add(symbols.events, symbols.log_probs, symbols.values)
        gained = gains(symbols.log_probs, symbols.values, temperature)
        if bool((never := ~gained.isfinite()).any()):
            raise Diverged(
                f"event {int(symbols.events[never][0])} of test has a value of probability 0 under "
                "the model, and no temperature repairs that"
            )
        self.gains.index_add_(0, symbols.events, gained)

    def details(self) -> dict[str, Any]:
        """The tables behind the charts."""
        return {
            "bins": {"upper_edges": [*self.bins.edges.tolist(), 1.0], **_columns(self.bins, 0)},
            "bins_of_equal_mass": {
                "upper_edges": [*self.even.edges.tolist(), 1.0],
                **_columns(self.even, 0),
            },
            "by_place": {
                self.places.name: self.places.firsts.tolist(),
                **_columns(self.by_place, 1),
            },
            "transform_counts": self.transforms.counts.sum(0).long().tolist(),
        }


def _columns(bins: BinSums, along: int) -> dict[str, list[float]]:
    return {
        "num_dims": bins.counts.sum(along).long().tolist(),
        "predicted": bins.predicted.sum(along).tolist(),
        "happened": bins.happened.sum(along).tolist(),
    }
