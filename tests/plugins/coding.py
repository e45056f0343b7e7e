"""Models and content for the tests of compression: small, of every kind, and peaked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from arbench import (
    Bernoulli,
    Categorical,
    Discrete,
    EventSpec,
    Layout,
    LogisticMixture,
    Model,
    ReferencePath,
    Windows,
)
from arbench.testing.toys import LinearNetwork, SteppingTable
from arbench_compression.content import Content, Ends, Plan
from arbench_compression.file import Identity

WHO = Identity("toy/toy", b"c" * 32, b"w" * 32)


@dataclasses.dataclass(frozen=True)
class Case:
    """A model and what it is to code."""

    model: Model
    content: Content

    def path(self) -> ReferencePath:
        return self.model.reference_path()


def linear(layout: Layout, scale: float = 1.5) -> Model:
    """A model without steps, of one dim per site."""
    head = Bernoulli(layout) if layout.domain == Discrete(2) else Categorical(layout)
    torch.manual_seed(5)
    return Model(LinearNetwork(layout, head.num_params, scale=scale), head, layout).eval()


def drawn(model: Model, count: int) -> Tensor:
    return model.sample(count, generator=torch.Generator().manual_seed(1))


def bits() -> Case:
    model = linear(Layout.permuted(EventSpec((1, 4, 5), Discrete(2)), seed=3))
    return Case(model, Content(Plan(90, 40), drawn(model, 90)))


def levels() -> Case:
    """More than 256 values, no power of two, and some all but impossible."""
    model = linear(Layout(EventSpec((4,), Discrete(300))), scale=4.0)
    return Case(model, Content(Plan(60, 64), drawn(model, 60)))


def stepping() -> Case:
    layout = Layout(EventSpec((5,), Discrete(5)))
    network = SteppingTable(layout, 5, scale=2.0)
    model = Model(network, Categorical(layout), layout).eval()
    return Case(model, Content(Plan(77, 20), drawn(model, 77)))


def pixels() -> Case:
    """Colours, all channels of a pixel at once."""
    layout = Layout(EventSpec((3, 1, 2), Discrete(6)), sites="pixel")
    head = LogisticMixture(layout, num_components=3)
    model = Model(SteppingTable(layout, head.num_params, scale=1.0), head, layout).eval()
    return Case(model, Content(Plan(50, 16), drawn(model, 50)))


def words() -> Case:
    model = linear(Layout(EventSpec((8,), Discrete(4))))
    events = drawn(model, 70)
    ended = ((events == 0).cumsum(1) - (events == 0).long()) > 0
    return Case(model, Content(Plan(70, 32, ends=Ends(0, 2)), events.masked_fill(ended, 2)))


def clips() -> Case:
    """Events whose lengths no value tells; one has no dim at all."""
    model = linear(Layout(EventSpec((8,), Discrete(4))))
    lengths = torch.randint(0, 9, (30,), generator=torch.Generator().manual_seed(2))
    lengths[3], lengths[7:20] = 0, 8
    events = drawn(model, 30).masked_fill(torch.arange(8) >= lengths[:, None], 3)
    ends = Ends(None, 3, tuple(lengths.tolist()))
    return Case(model, Content(Plan(30, 12, ends=ends), events))


def stream(num_symbols: int = 103) -> Case:
    model = linear(Layout(EventSpec((8,), Discrete(5))))
    symbols = drawn(model, 20).flatten()[:num_symbols]
    return Case(model, Content(Plan(num_symbols, 1, Windows(8, 3)), symbols))


CASES: dict[str, Callable[[], Case]] = {
    "bits": bits,
    "levels": levels,
    "stepping": stepping,
    "pixels": pixels,
    "words": words,
    "clips": clips,
    "stream": stream,
    "stream of less than a window": lambda: stream(5),
}


def own_file(folder: Path, case: Case) -> Path:
    """A file with the content of a case."""
    from arbench_compression.codec import compress

    file = folder / "case.arb"
    compress(case.path(), case.content, WHO, file)
    return file


class Shaken(ReferencePath):
    """A path whose log-probabilities are off by up to so many nats, each time anew."""

    def __init__(self, path: ReferencePath, nats: float, seed: int = 0) -> None:
        self.layout, self.path, self.nats = path.layout, path, nats
        self.generator = torch.Generator().manual_seed(seed)

    def start(self, batch_size: int) -> None:
        self.path.start(batch_size)

    def log_probs(self) -> Tensor:
        found = self.path.log_probs()
        noise = torch.rand(found.shape, generator=self.generator, dtype=torch.float64)
        return found + self.nats * (2 * noise - 1)

    def tell(self, values: Tensor) -> None:
        self.path.tell(values)
