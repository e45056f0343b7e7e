"""Small measurements and data for tests: numbers that anybody can make by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from arbench import (
    NLL,
    Context,
    Density,
    Discrete,
    EventSpec,
    Handed,
    Labels,
    Measured,
    Measurement,
    Row,
    Split,
    SplitName,
    StreamTask,
    Task,
)


class Mean(Measurement):
    """Mean nats of an event, kept as log-probabilities."""

    name = "mean"
    version = "1"
    unit = "nats"
    better = "higher"

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        return self.measured({"log_prob": context.log_probs("test")})


class Cost(Mean):
    """The same with its sign turned."""

    name = "cost"
    better = "lower"

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        return self.measured({"nats": -context.log_probs("test")})


class Nats(Mean):
    """The likelihood as a record has it: log-probabilities kept, nats shown, bits beside them."""

    name = "nats"
    better = "lower"
    negates = True
    reads = ("validation", "test")

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        found = {}
        for name in ("test", "validation"):
            split = dataset.split(name)
            found[name] = NLL.from_log_probs(
                context.log_probs(name),
                split.scored_dims,
                groups=split.groups,
                is_stream=split.is_stream,
            )
        rows = [
            self.row("validation", found["validation"].nats_per_event),
            Row(
                "test bits",
                found["test"].bits_per_dim,
                "bits/dim",
                "lower",
                found["test"].standard_error_bits_per_dim,
            ),
        ]
        details = {"kind": density.kind}
        values = {"log_prob": context.log_probs("test")}
        return self.measured(values, rows=rows, details=details)


class Ratio(Mean):
    """Total nats over total dims."""

    name = "ratio"
    better = "lower"
    unit = "nats/dim"

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        dims = dataset.split("test").scored_dims.double()
        return self.measured({"nats": -context.log_probs("test"), "dims": dims})

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        return float(values["nats"] @ weights / (values["dims"] @ weights))


class Auroc(Mean):
    """How often an event of the first kind scores above one of the second."""

    name = "auroc"
    unit = "AUROC"
    reads = ("test", "labels:test")

    def __init__(self, *, kind: int = 1, against: str = "all", depths: Any = None) -> None:
        self.kind = kind

    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        is_kind = (dataset.labels("test").values == self.kind).double()
        return self.measured({"score": context.log_probs("test"), "is_kind": is_kind})

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        order = values["score"].argsort()
        score, kind = values["score"][order], values["is_kind"][order]
        above, below = weights[order] * kind, weights[order] * (1 - kind)
        up_to = below.cumsum(0)
        last = torch.searchsorted(score, score, right=True) - 1
        first = torch.searchsorted(score, score, right=False)
        before = torch.where(first > 0, up_to[(first - 1).clamp(min=0)], torch.zeros_like(up_to))
        won = above @ ((before + up_to[last]) / 2)
        return float(won / (above.sum() * below.sum()))


class Words(Task):
    """Words of 4 bits, with labels and with pairs that are not independent."""

    name = "words"
    version = "3"
    spec = EventSpec((4,), Discrete(2))
    group = "pair"

    def load(self, split: SplitName) -> Split:
        seed = ("train", "validation", "test").index(split)
        bits = torch.randint(2, (40, 4), generator=torch.Generator().manual_seed(seed))
        return Split(bits, groups=torch.arange(40) // 2)

    def load_labels(self, split: SplitName) -> Labels:
        return Labels(self.load(split).events[:, 0].long(), ("zero", "one"))


class Plain(Words):
    """The same, where nobody knows what they are, and all are independent."""

    name = "plain"
    group = "event"
    load_labels = Task.load_labels

    def load(self, split: SplitName) -> Split:
        return Split(super().load(split).events)


class Text(StreamTask):
    """A stream of bits that come in runs."""

    name = "text"
    version = "1"
    domain = Discrete(2)

    def load_stream(self, split: SplitName) -> Tensor:
        return torch.randint(
            2, (200,), generator=torch.Generator().manual_seed(4)
        ).repeat_interleave(9)


class Biased:
    """Bits that are 1 with a probability; everything that a density may offer."""

    kind: ClassVar[Literal["exact"]] = "exact"
    device = torch.device("cpu")
    dtype = torch.float64
    samplers = ("own",)

    def __init__(self, one: float = 0.75) -> None:
        self.one = one
        self.spec = Words.spec

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        p = torch.tensor([1 - self.one, self.one], dtype=torch.float64)
        counted = 1 if scored is None else scored.double()
        return (p.log()[events.long()] * counted).sum(1)

    def sample(self, num_events: int, *, generator: Any = None, **more: Any) -> Tensor:
        return (torch.rand(num_events, 4, generator=generator) < self.one).long()

    def excerpt(self, method: str, batch_size: int) -> None:
        return None
