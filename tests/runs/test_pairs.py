"""Pairs of what a run is made of that models have no part in: each is proven, or refused."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import arbench
from arbench.data.dataset import Dataset
from arbench.data.streams import StreamTask, overlapping_windows
from arbench.data.tasks import Split, SplitName, Task, open_task
from arbench.errors import ConfigError, PluginError
from arbench.measure.likelihood import evaluate_log_probs
from arbench.probability.ensemble import Ensemble
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.foreign import ForeignDensity
from arbench.probability.heads import Categorical
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.runs.request import RunRequest, resolve
from arbench.testing.foreign import check_foreign
from arbench.testing.tiny import TinyEvents
from arbench.testing.toys import TableNetwork, all_events

SPEC = EventSpec((4,), Discrete(3))


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("made", {"num_copies": 2, "num_masks": 2}, "copies share one ordering and one mask"),
        ("made", {"num_copies": 2, "num_orderings": 2}, "copies share one ordering and one mask"),
        ("bernoulli", {"num_copies": 2}, "all copies would be alike"),
        ("lstm", {"num_orderings": 2}, "cannot share weights between orderings"),
        ("gated-pixelcnn", {"num_masks": 2}, "cannot share weights between orderings"),
        (
            "made",
            {"num_copies": 2, "head": "gaussian"},
            "average probabilities, and gaussian cannot",
        ),
    ],
)
def test_what_forms_no_density_is_refused_when_a_run_is_resolved(
    model: str, settings: dict[str, Any], said: str
) -> None:
    task = open_task("toy-ar1" if "head" in settings else "mnist-mini")
    with pytest.raises(ConfigError, match=said):
        resolve(RunRequest(task=task.name, model=model, overrides=settings), task)


class Shown(Task):
    """Training sees other values, anew in every epoch."""

    name = "shown"
    version = "1"
    spec = SPEC

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def load(self, split: SplitName) -> Split:
        events = torch.full((6, 4), {"train": 0, "validation": 1, "test": 2}[split])
        scored = torch.arange(4) <= torch.arange(6).unsqueeze(1)
        return Split(events.to(torch.uint8), scored)

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        self.seen.append(events)
        return torch.randint(3, events.shape, generator=generator)


def test_a_training_view_never_touches_validation_and_test() -> None:
    task = Shown()
    for name, value in (("validation", 1), ("test", 2)):
        assert (Dataset(task).split(name).events == value).all()
    assert task.seen == []


class Viewed(StreamTask):
    """A text that wants to be seen otherwise in training."""

    name = "viewed"
    version = "1"
    domain = Discrete(3)

    def load_stream(self, split: SplitName) -> Tensor:
        return torch.zeros(50, dtype=torch.uint8)

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return events.flip(0)


def test_a_stream_with_a_view_of_its_own_is_refused_before_training() -> None:
    with pytest.raises(PluginError, match="viewed: .* never calls training_view"):
        resolve(RunRequest(task="viewed", model="made"), Viewed())


def table(layout: Layout, seed: int = 0) -> Model:
    head = Categorical(layout)
    return Model(TableNetwork(layout, 3, seed=seed, scale=2.0), head, layout).double().eval()


DENSITIES = {
    "raster": lambda: table(Layout(SPEC)),
    "permuted": lambda: table(Layout.permuted(SPEC, 1)),
    "ensemble": lambda: Ensemble([table(Layout.permuted(SPEC, seed), seed) for seed in range(3)]),
}


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("name", DENSITIES)
def test_all_streams_of_a_length_sum_to_one(name: str, stride: int) -> None:
    """Windows of four symbols over streams of seven: what evaluation adds up is a distribution."""
    density, length = DENSITIES[name](), 7
    streams = torch.tensor(list(itertools.product(range(3), repeat=length)))
    windows = [overlapping_windows(stream, 4, stride) for stream in streams]
    split = Split(
        torch.cat([part.events for part in windows]),
        torch.cat([part.scored for part in windows]),  # type: ignore[misc]
    )
    log_probs = evaluate_log_probs(density, split).view(len(streams), -1).sum(1)
    assert log_probs.exp().sum().item() == pytest.approx(1, abs=1e-12)


class Sequences:
    """A table of probabilities behind somebody else's interface."""

    def __init__(self, spec: EventSpec) -> None:
        layout = Layout(spec)
        head = Categorical(layout)
        network = TableNetwork(layout, layout.alphabet_size, scale=1.0)
        self.model = Model(network, head, layout).double().eval()

    def log_prob(self, x: Tensor, scored: Tensor | None = None) -> Tensor:
        return self.model.log_prob(x, scored)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.model.sample(n, generator=generator)


class CountsPadding(Sequences):
    """Knows the parameter and does not use it."""

    def log_prob(self, x: Tensor, scored: Tensor | None = None) -> Tensor:
        return self.model.log_prob(x)


class SharesOut(Sequences):
    """Takes a share of the whole, in proportion to what is scored."""

    def log_prob(self, x: Tensor, scored: Tensor | None = None) -> Tensor:
        whole = self.model.log_prob(x)
        return whole if scored is None else whole * scored.double().mean(1)


class LooksBehindTheEnd(Sequences):
    """Scores the right dims, and looks at the last one beside."""

    def log_prob(self, x: Tensor, scored: Tensor | None = None) -> Tensor:
        return self.model.log_prob(x, scored) + 0.01 * (x[:, -1] - 1)


def adapted(source: Any, spec: EventSpec) -> ForeignDensity:
    return ForeignDensity(source(spec), spec=spec, kind="exact")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Sequences, ""),
        (CountsPadding, "words that end sum to"),
        (SharesOut, "words that end sum to"),
        (LooksBehindTheEnd, "words that end sum to"),
    ],
)
def test_a_foreign_density_is_held_to_what_it_scores(source: Any, said: str) -> None:
    density = adapted(source, EventSpec((5,), Discrete(5)))
    results = check_foreign(density, lambda spec: adapted(source, spec))
    (found,) = [result for result in results if result.check == "scored"]
    assert (found.status, said in found.message) == ("failed" if said else "passed", True), found


class Words(Task):
    """Up to three letters and their end, 0."""

    name = "letters"
    version = "1"
    spec = SPEC
    pinned = False

    def load(self, split: SplitName) -> Split:
        tiny = TinyEvents(SPEC, end=0)
        events = tiny.listed()
        scored = tiny.scored(events)
        return Split(events, scored)


def test_foreign_numbers_on_words_are_those_of_the_scored_dims(tmp_path: Path) -> None:
    evaluated = arbench.evaluate_density(
        adapted(Sequences, SPEC), Words(), name="table", out=tmp_path / "run"
    )
    test = Words().load("test")
    expected = Sequences(SPEC).log_prob(test.events, test.scored)
    assert expected.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert evaluated.record.splits["test"].total_nats == pytest.approx(-expected.sum().item())
    assert evaluated.record.splits["test"].num_dims == test.num_scored_dims


def test_a_foreign_density_that_reads_padding_gets_no_number(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="reads padding, so its probabilities do not sum to 1"):
        arbench.evaluate_density(
            adapted(CountsPadding, SPEC), Words(), name="table", out=tmp_path / "run"
        )
    assert not (tmp_path / "run" / "record.json").exists()


def test_a_scale_of_whole_events_is_no_scale_of_some_dims() -> None:
    class Normal:
        def log_prob(self, x: Tensor, scored: Tensor | None = None) -> Tensor:
            each = -0.5 * x.square() - 0.5 * math.log(2 * math.pi)
            return (each if scored is None else each * scored).sum(1).double()

        def sample(self, n: int) -> Tensor:
            return torch.randn(n, 3)

    events, scored = torch.randn(5, 3), torch.arange(3).expand(5, 3) < 2
    made = {"spec": EventSpec((3,), Real()), "kind": "density", "to_input": lambda x: 2 * x}
    scaled = ForeignDensity(Normal(), log_det=3 * math.log(2), **made)  # type: ignore[arg-type]
    whole = torch.ones_like(scored)
    torch.testing.assert_close(scaled.log_prob(events, whole), scaled.log_prob(events))
    with pytest.raises(PluginError, match="log_det is of whole events"):
        scaled.log_prob(events, scored)
    unscaled = ForeignDensity(Normal(), log_det=0.0, **made)  # type: ignore[arg-type]
    assert unscaled.log_prob(events, scored).shape == (5,)


def test_a_foreign_density_has_no_temperature_and_completes_nothing() -> None:
    density = adapted(Sequences, SPEC)
    with pytest.raises(ConfigError, match="a foreign density have none"):
        arbench.sample(density, 2, temperature=0.5)
    known = torch.arange(4) < 1
    with pytest.raises(ConfigError, match="completes none"):
        arbench.sample(density, 2, given=all_events(SPEC)[0], known=known)
