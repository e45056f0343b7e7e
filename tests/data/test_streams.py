"""Streams: every symbol scored once, with the promised context before it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from arbench.data.streams import StreamTask, WindowedTask, overlapping_windows
from arbench.data.tasks import SPLITS, SplitName
from arbench.errors import ConfigError, DataError
from arbench.measure.likelihood import SplitRecord, evaluate_log_probs
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import Categorical
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.tasks import TaskSubject
from arbench.testing.toys import LinearNetwork


class Counting(StreamTask):
    """Symbols that say where they stand."""

    name, version, unit, domain = "counting", "1", "char", Discrete(1000)

    def load_stream(self, split: SplitName) -> Tensor:
        return torch.arange(103)


@given(st.integers(1, 12), st.data())
def test_every_symbol_is_scored_once_with_enough_before_it(
    context: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, context))
    num_symbols = data.draw(st.integers(context, 60))
    windows = overlapping_windows(torch.arange(num_symbols), context, stride)
    assert windows.scored is not None
    assert sorted(windows.events[windows.scored].tolist()) == list(range(num_symbols))
    assert windows.num_scored_dims == num_symbols
    assert bool((windows.events.diff(dim=1) == 1).all())
    for event, scored in zip(windows.events, windows.scored, strict=True):
        seen = torch.arange(context)[scored]
        enough = (seen >= context - stride) | (event[scored] == seen)
        assert bool(enough.all())
        assert bool((seen.diff() == 1).all())  # one contiguous block


def test_every_epoch_of_training_sees_every_symbol_once_in_windows_cut_anew() -> None:
    task = Counting().windows(10, 5)
    assert task.spec == EventSpec((10,), Discrete(1000))
    train = task.load("train")
    assert train.events.shape == (10, 10)
    starts = set()
    for epoch in range(1000):
        windows = task.training_view(train.events, torch.Generator().manual_seed(epoch))
        assert windows.shape == train.events.shape
        assert windows.flatten().sort().values.tolist() == list(range(100))
        assert set(windows.diff(dim=1).unique().tolist()) <= {1, -99}  # after the last, the first
        starts.add(int(windows[0, 0]))
    assert starts == set(range(100))


def test_where_windows_are_cut_depends_on_the_generator_alone() -> None:
    task = Counting().windows(10, 5)
    train = task.load("train")
    views = []
    for elsewhere in range(5):  # whatever else has been drawn
        torch.manual_seed(elsewhere)
        views.append(task.training_view(train.events, torch.Generator().manual_seed(3)))
    assert all(torch.equal(view, views[0]) for view in views)


def test_what_cannot_be_windowed_is_refused() -> None:
    with pytest.raises(ConfigError, match="from 1 to the context, got stride 6 and context 5"):
        Counting().windows(5, 6)
    with pytest.raises(DataError, match=r"103 symbols, fewer than the context of 104.*stream"):
        Counting().windows(104, 5).load("test")


def test_a_smaller_context_is_named_that_fits_every_split() -> None:
    class Short(Counting):
        def load_stream(self, split: SplitName) -> Tensor:
            return torch.arange({"train": 90, "validation": 7, "test": 5}[split])

    words = "set a smaller one, such as --set stream.context=5 --set stream.stride=2"
    for split in ("train", "validation"):
        with pytest.raises(DataError, match=words):
            Short().windows(256, 128).load(split)
    assert [len(Short().windows(5, 2).load(split)) for split in SPLITS] == [18, 2, 1]


def test_the_checks_of_a_stream_see_its_windows() -> None:
    subject = TaskSubject(Counting)
    task = subject.events_task
    assert isinstance(task, WindowedTask)
    for name in SPLITS:
        found, windows = subject.splits[name], task.load(name)
        assert torch.equal(found.events, windows.events)
        assert found.is_stream == windows.is_stream == (name != "train")


class Symbols(StreamTask):
    """A stream of three symbols."""

    name, version, unit, domain = "symbols", "1", "char", Discrete(3)

    def load_stream(self, split: SplitName) -> Tensor:
        generator = torch.Generator().manual_seed(len(split))
        return torch.randint(3, (40,), generator=generator, dtype=torch.uint8)


class Remembering(nn.Module):
    """Parameters from the last `memory` sites, whatever their place."""

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.memory = memory
        self.weights = nn.Parameter(torch.randn(4**memory, 3, dtype=torch.float64))

    def forward(self, sites: Tensor) -> Tensor:
        earlier = nn.functional.pad(sites[:, :-1, 0] + 1, (self.memory, 0))
        digits = 4 ** torch.arange(self.memory)
        return self.weights[(earlier.unfold(1, self.memory, 1) * digits).sum(-1)]


def nats(network: nn.Module, windows: WindowedTask) -> float:
    """Total nats of the test stream, seen through the windows."""
    layout = Layout(windows.spec)
    test = windows.load("test")
    model = Model(network, Categorical(layout), layout)
    log_probs = evaluate_log_probs(model, test)
    found = SplitRecord.of(log_probs, test, windows.spec.domain, "exact")
    assert found.num_dims == 40
    return found.total_nats


@pytest.mark.parametrize("stride", [1, 7, 40])
def test_one_window_over_everything_is_one_pass(stride: int) -> None:
    windows = Symbols().windows(40, stride)
    layout = Layout(windows.spec)
    network = LinearNetwork(layout, 3).double()
    model = Model(network, Categorical(layout), layout)
    whole = model.log_prob(Symbols().load_stream("test").unsqueeze(0))
    assert nats(network, windows) == pytest.approx(-whole.item(), rel=1e-12)


@pytest.mark.parametrize(("context", "stride"), [(20, 15), (12, 9), (5, 2), (4, 1)])
def test_with_all_that_a_model_remembers_before_it_windows_change_nothing(
    context: int, stride: int
) -> None:
    """Three symbols of memory, and at least as many before every scored one."""
    network = Remembering(3)
    one_pass = nats(network, Symbols().windows(40, 40))
    assert nats(network, Symbols().windows(context, stride)) == pytest.approx(one_pass, rel=1e-12)
    assert nats(network, Symbols().windows(context, context)) != pytest.approx(one_pass, rel=1e-6)
