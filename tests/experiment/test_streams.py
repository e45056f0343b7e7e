"""Streams: every symbol scored once, with the promised context before it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from arbench.errors import ConfigError, DataError
from arbench.experiment.streams import StreamTask, overlapping_windows
from arbench.experiment.tasks import SplitName
from arbench.probability.events import Discrete, EventSpec


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


def test_training_sees_crops_at_every_place() -> None:
    task = Counting().windows(10, 5)
    assert task.spec == EventSpec((10,), Discrete(1000))
    train = task.load("train")
    assert train.events.shape == (10, 10)
    starts = set()
    for epoch in range(200):
        crops = task.training_view(train.events, torch.Generator().manual_seed(epoch))
        assert crops.shape == train.events.shape
        assert bool((crops.diff(dim=1) == 1).all())
        starts |= set(crops[:, 0].tolist())
    assert starts == set(range(91))


def test_what_cannot_be_windowed_is_refused() -> None:
    with pytest.raises(ConfigError, match="from 1 to the context, got stride 6 and context 5"):
        Counting().windows(5, 6)
    with pytest.raises(DataError, match=r"103 symbols, fewer than the context of 104.*stream"):
        Counting().windows(104, 5).load("test")
