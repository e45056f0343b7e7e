"""Tiny datasets and densities on which measurements are checked.

A measurement is asked about these. What it is asked to do without is left out of them.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.data.labels import Labels
from arbench.data.streams import StreamTask
from arbench.data.tasks import Split, SplitName, Task
from arbench.measure.opening import NEEDS
from arbench.probability.bits import Kind
from arbench.probability.density import Excerpt
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.probability.randomness import keyed_generator
from arbench.testing.subject import learn, tiny_head
from arbench.testing.tiny import TINY_EVENTS, TinyEvents
from arbench.testing.toys import LinearNetwork

_SIZES: dict[SplitName, int] = {"train": 90, "validation": 60, "test": 60}
_NUM_SYMBOLS = 900
_STREAM = (8, 4)  # context and stride
_KINDS = ("zero", "one", "two")


class TinyTask(Task):
    """Tiny events of three kinds, which differ in what their first dim tends to be.

    Args:
        tiny: what the events are like.
        grouped: whether two events in a row are not independent.
        seed: other seeds give other events.
    """

    name = "tiny"
    version = "1"

    def __init__(self, tiny: TinyEvents, *, grouped: bool = False, seed: int = 0) -> None:
        self.tiny, self.seed = tiny, seed
        self.spec = tiny.spec
        self.group = "pair" if grouped else "event"

    def load(self, split: SplitName) -> Split:
        """See `Task.load`."""
        events = self._drawn(split)[0]
        groups = torch.arange(len(events)) // 2 if self.group == "pair" else None
        return Split(events, self.tiny.scored(events), groups)

    def load_labels(self, split: SplitName) -> Labels:
        """See `Task.load_labels`."""
        return Labels(self._drawn(split)[1], _KINDS)

    def _drawn(self, split: SplitName) -> tuple[Tensor, Tensor]:
        place = list(_SIZES).index(split) + 10 * self.seed
        events = self.tiny.random(_SIZES[split], seed=100 + place)
        kinds = torch.randint(3, (len(events),), generator=keyed_generator(place, "kinds"))
        other = self.tiny.random(len(events), seed=200 + place).flatten(1)[:, 0]
        first = self.spec.dim_domains[0]
        told = kinds % first.size if isinstance(first, Discrete) else kinds.to(events.dtype) - 1
        tells = torch.rand(len(events), generator=keyed_generator(place, "tells")) < 0.5
        flat = events.flatten(1).clone()
        flat[:, 0] = torch.where(tells, told.to(events.dtype), other)
        drawn = self.tiny.ended(flat.view_as(events))
        return (drawn.float() if self.tiny.is_real else drawn), kinds


class TinyStream(StreamTask):
    """A tiny text, of four symbols that repeat each other; seen through windows."""

    name = "tiny-stream"
    version = "1"
    unit = "char"
    domain = Discrete(4)

    def load_stream(self, split: SplitName) -> Tensor:
        """See `StreamTask.load_stream`."""
        generator = keyed_generator(list(_SIZES).index(split), "symbols")
        steps = torch.rand(_NUM_SYMBOLS, generator=generator) < 0.3
        return steps.long().cumsum(0) % 4


class OfferingDensity:
    """A density that offers whatever a measurement may need, and no more than it is to.

    Args:
        model: of one dim per site, in raster order.
        offers: which of `NEEDS` it offers.
    """

    def __init__(self, model: Model, offers: tuple[str, ...]) -> None:
        self.model = model
        self.offers = offers
        self.spec: EventSpec = model.spec
        self.kind: Kind = model.kind
        self.device = model.device
        self.dtype = model.dtype

    @property
    def samplers(self) -> tuple[str, ...]:
        """None where it offers no samples."""
        return self.model.samplers if "sample" in self.offers else ()

    def excerpt(self, method: str, batch_size: int) -> Excerpt | None:
        """See `Density.excerpt`."""
        return self.model.excerpt(method, batch_size)

    def without(self, need: str) -> OfferingDensity:
        """The same, but for one thing that it does not offer."""
        return OfferingDensity(self.model, tuple(each for each in self.offers if each != need))

    def __getattr__(self, name: str) -> Any:
        own = {"features": self._features, "reinitialise": self._reinitialise}
        if name not in NEEDS or name not in self.offers:
            raise AttributeError(f"this density offers no {name}: is it among the `needs`?")
        return own[name] if name in own else getattr(self.model, name)

    @torch.no_grad()
    def _features(self, events: Tensor) -> Tensor:
        return self.model.site_params(self.model.sites_of(events)).mean(1)

    def _reinitialise(self, seed: int) -> OfferingDensity:
        return OfferingDensity(_untrained(self.model.layout, seed), self.offers)


def _untrained(layout: Layout, seed: int) -> Model:
    head = tiny_head(layout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LinearNetwork(layout, head.num_params)
    return Model(network, head, layout).double().eval()


@dataclass(frozen=True, eq=False)
class Offer:
    """A dataset, and a density that was trained on it for a moment.

    Args:
        make: the task, of events.
    """

    make: Callable[[], Task]

    def dataset(self) -> Dataset:
        """A new one with equal events, whatever was done to those of others."""
        return Dataset(self.make())

    def without_labels(self) -> Dataset:
        """A new one, where nobody knows what the events are of."""
        task = self.make()
        task.__class__ = type("Unlabelled", (type(task),), {"has_labels": False})
        return Dataset(task)

    def density(self, offers: tuple[str, ...]) -> OfferingDensity:
        """A density with fresh weights, that have learned a little, always the same."""
        return OfferingDensity(copy.deepcopy(self._model), offers)

    @functools.cached_property
    def _model(self) -> Model:
        task = self.make()
        train = task.load("train")
        model = _untrained(Layout(task.spec), seed=0)
        learn(model, train.events, train.scored, num_steps=20, learning_rate=0.02)
        return model


OFFERS: dict[str, Offer] = {
    "binary-3x3": Offer(lambda: TinyTask(TinyEvents(EventSpec((1, 3, 3), Discrete(2))))),
    "levels-4x4": Offer(lambda: TinyTask(TinyEvents(EventSpec((1, 4, 4), Discrete(16))))),
    "pairs-of-words": Offer(
        lambda: TinyTask(TinyEvents(EventSpec((6,), Discrete(5)), end=0), grouped=True)
    ),
    "mixed-4": Offer(lambda: TinyTask(TINY_EVENTS["mixed-4"])),
    "real-5": Offer(lambda: TinyTask(TinyEvents(EventSpec((5,), Real(bin_width=0.1))))),
    "stream-8": Offer(lambda: TinyStream().windows(*_STREAM)),
}
