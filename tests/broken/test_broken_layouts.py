"""Wrong layouts, each refused by the check that is meant for it."""

# The contract of each method is that of the class it breaks.

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from arbench.probability.layouts import Layout
from arbench.testing.suites import layout_suite


class LosesADim(Layout):
    """The last site repeats the first."""

    def to_sites(self, events: Tensor) -> Tensor:
        sites = super().to_sites(events)
        return torch.cat((sites[:, :-1], sites[:, :1]), 1)


class ForgetsTheInverse(Layout):
    """Comes back in the order of the sites instead of that of the event."""

    def to_events(self, sites: Tensor) -> Tensor:
        return Layout(self.spec, sites=self.sites).to_events(sites)


class ChannelsFirst(Layout):
    """Goes through a whole colour plane before the next, both ways: a bijection all the same."""

    def to_sites(self, events: Tensor) -> Tensor:
        sites = events.reshape(len(events), self.num_sites, self.site_dim)
        return sites[:, self.permutation]

    def to_events(self, sites: Tensor) -> Tensor:
        return sites[:, self.permutation.argsort()].reshape(len(sites), *self.spec.shape)


class CountsKnown(Layout):
    """Takes any known sites for a prefix, if there are that many."""

    def prefix_length(self, known: Tensor) -> int:
        return int(known.sum()) // self.site_dim


class ReadsPadding(Layout):
    """What is not scored is context, wherever it lies."""

    def scored_sites(self, scored: Tensor) -> Tensor:
        return self.to_sites(scored).all(-1)


class RefusesContext(Layout):
    """What is not scored must come last in its own order, also in the windows of a stream."""

    def scored_sites(self, scored: Tensor) -> Tensor:
        counted = self.to_sites(scored).all(-1)
        if bool((counted[:, 1:] & ~counted[:, :-1]).any()):
            raise ValueError("padding comes last")
        return counted


class CountsPartOfAPixel(Layout):
    """A pixel is scored if any of its channels is."""

    def scored_sites(self, scored: Tensor) -> Tensor:
        return self.to_sites(scored).any(-1)


class AlwaysAGrid(Layout):
    """Has neighbours in every order."""

    @property
    def grid(self) -> tuple[int, ...] | None:
        return self._grid


class ForgetsItsOrder(Layout):
    """Says raster of every order, so that a configuration leaves the permutation out."""

    is_raster = property(lambda self: True, lambda self, value: None)  # type: ignore[assignment]


# The layout, the check, and what it must say.
CASES: list[tuple[type[Layout], str, str]] = [
    (LosesADim, "bijection", "is in 2 sites, not in one"),
    (ForgetsTheInverse, "bijection", "to_events does not undo to_sites"),
    (ChannelsFirst, "order", "but its coordinates"),
    (CountsKnown, "prefix", "yet prefix_length says"),
    (ReadsPadding, "scored", "the probabilities of all words sum to"),
    (RefusesContext, "scored", "as in a window of a stream; yet it is refused"),
    (CountsPartOfAPixel, "scored", "a pixel of which one channel is not scored"),
    (AlwaysAGrid, "grid", "in an order that is not the raster scan"),
    (ForgetsItsOrder, "config", "comes back from its config"),
]


@pytest.mark.parametrize(("layout", "check", "evidence"), CASES)
def test_broken_layout_is_refused_by_name(layout: type[Layout], check: str, evidence: str) -> None:
    results = [trial.run() for trial in layout_suite(layout).trials((check,))]
    messages = [result.message for result in results if result.status == "failed"]
    assert any(evidence in message for message in messages), results


@pytest.mark.parametrize("check", dict.fromkeys(check for _, check, _ in CASES))
def test_the_layout_itself_passes(check: str) -> None:
    assert {trial.run().status for trial in layout_suite().trials((check,))} == {"passed"}
