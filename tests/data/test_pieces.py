"""Pieces: every step scored once in windows that begin where the piece does, and both averages."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.data.pieces import PieceTask, WindowedPieces
from arbench.data.streams import PieceWindows
from arbench.data.tasks import Split, SplitName
from arbench.errors import ConfigError
from arbench.measure.likelihood import PiecesRecord, SplitRecord
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.layouts import Layout
from arbench.testing.tasks import TASK_CHECKS, TaskSubject

STEP = 3


class Pieces(PieceTask):
    """Pieces whose steps say which piece they are of and where they stand in it."""

    name, version, unit, domain, step_dims = "pieces", "1", "key", Discrete(1000), STEP

    def __init__(self, *lengths: int) -> None:
        self.lengths = lengths

    def load_pieces(self, split: SplitName) -> list[Tensor]:
        first = {"train": 0, "validation": 300, "test": 600}[split]
        return [
            torch.stack([torch.full((n,), first + 1 + p), torch.arange(n), torch.ones(n).long()], 1)
            for p, n in enumerate(self.lengths)
        ]


def steps_of(split: Split) -> Tensor:
    """The scored steps, `(N, 3)`: piece, place, 1."""
    assert split.scored is not None
    rows = split.scored[:, 0].any(2)
    assert bool((split.scored[:, 0].all(2) == rows).all())  # a step is scored as a whole
    return split.events[:, 0][rows]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 12), st.data())
def test_every_step_is_scored_once_with_enough_of_its_piece_before_it(
    lengths: list[int], context: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, context))
    split = Pieces(*lengths).windows(context, stride).load("test")
    found = [tuple(step) for step in steps_of(split).tolist()]
    assert found == [(601 + p, t, 1) for p, n in enumerate(lengths) for t in range(n)]
    assert split.groups is not None
    assert split.scored is not None
    for event, scored, group in zip(
        split.events[:, 0], split.scored[:, 0], split.groups, strict=True
    ):
        real = event[:, 2] == 1
        assert set(event[real, 0].tolist()) == {601 + int(group)}
        assert bool((event[real, 1].diff() == 1).all())
        assert not bool(scored[~real].any())
        places = torch.arange(context)[scored[:, 0]]
        assert bool(((places >= context - stride) | (event[places, 1] == places)).all())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 12), st.integers(0, 9))
def test_training_covers_every_piece_from_its_first_step_to_its_last(
    lengths: list[int], context: int, seed: int
) -> None:
    task = Pieces(*lengths).windows(context, 1)
    train = task.load("train")
    view = task.training_view(train.events, torch.Generator().manual_seed(seed))
    for events in (train.events, view):
        windows = replace(train, events=events)
        steps = {tuple(step) for step in steps_of(windows).tolist()}
        assert steps == {(1 + p, t, 1) for p, n in enumerate(lengths) for t in range(n)}
        firsts = {int(e[0, 0, 0]): int(e[0, 0, 1]) for e in events.flip(0)}
        assert set(firsts.values()) == {0}  # the first window of every piece
        assert bool(((events[:, 0].diff(dim=1)[..., 1] == 1) | (events[:, 0, 1:, 2] == 0)).all())


def test_windows_of_training_are_cut_anew() -> None:
    task = Pieces(25, 4).windows(8, 8)
    train = task.load("train")
    assert len(train) == 4 + 1
    views = {
        tuple(task.training_view(train.events, torch.Generator().manual_seed(seed))[1, 0, 0])
        for seed in range(40)
    }
    assert len(views) > 3
    assert len(task.training_view(train.events[:3], torch.Generator())) == 3  # a limit


def test_the_context_changes_the_events_and_not_the_hash() -> None:
    whole, parts = (Dataset(Pieces(5, 9), context=c, stride=2) for c in (9, 4))
    assert whole.task.spec == EventSpec((1, 9, STEP), Discrete(1000))
    assert whole.sha256 == parts.sha256 != Dataset(Pieces(5, 8), context=4).sha256
    assert len(whole.split("test")) == 2
    assert whole.windows is None
    assert parts.pieces == PieceWindows(4, 2, STEP)
    assert parts.part == "context 4, stride 2"


@pytest.mark.parametrize(("lengths", "context"), [((5, 9), 9), ((4, 4), 6), ((9, 9), 4)])
def test_an_order_that_reads_padding_is_refused(lengths: tuple[int, ...], context: int) -> None:
    dataset = Dataset(Pieces(*lengths), context=context, stride=2)
    dataset.require_likelihood("made", [Layout(dataset.task.spec)])
    with pytest.raises(ConfigError, match="has no likelihood"):
        dataset.require_likelihood("made", [Layout.permuted(dataset.task.spec, 1)])


def test_a_stride_is_at_most_the_context() -> None:
    with pytest.raises(ConfigError, match="stride 5 and context 4"):
        Pieces(9).windows(4, 5)


def test_both_averages_by_hand() -> None:
    """A piece of 2 steps at 1 nat a step, and one of 6 steps at 3."""
    split = Pieces(2, 6).windows(4, 2).load("test")
    assert split.scored is not None
    rates = torch.tensor([1.0, 3.0], dtype=torch.float64)[split.groups]
    log_probs = -rates * split.scored_dims / STEP
    total = SplitRecord.of(log_probs, split, Discrete(2), "exact")
    assert total.num_dims == 8 * STEP
    assert total.num_groups == 2
    assert total.total_nats / total.num_dims * STEP == pytest.approx((2 * 1 + 6 * 3) / 8)
    pieces = PiecesRecord.of(PieceWindows(4, 2, STEP), {"test": (log_probs, split)})
    assert pieces.validation is None
    assert pieces.test is not None
    assert pieces.test.nats_per_step == pytest.approx(2)
    assert pieces.test.standard_error_nats == pytest.approx(math.sqrt(2) / math.sqrt(2))


@pytest.mark.parametrize(
    "name", ["spec", "deterministic", "training_view", "padding_last", "groups"]
)
def test_checks_of_tasks_know_pieces(name: str) -> None:
    TASK_CHECKS[name](TaskSubject(lambda: Pieces(200, 90, 5)))


def test_windows_know_their_pieces() -> None:
    assert isinstance(Pieces(3).windows(2, 1), WindowedPieces)
    assert Pieces(3).windows(2, 1).group == "piece"
