"""Comparison of two results: the same events, or the same stretches of a stream."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from making import with_likelihood
from torch import Tensor

import arbench
from arbench.data.streams import Windows, overlapping_windows, text_windows
from arbench.errors import DataError
from arbench.measure.likelihood import PiecesRecord, WindowsRecord
from arbench.probability.events import Discrete, EventSpec
from arbench.runs.comparison import compare_runs, difference_of
from arbench.runs.record.record import Record
from arbench.runs.record.values import LogProbs
from arbench.runs.zoo import zoo_folder

SYMBOLS = "ab"
BASE = Record.read(zoo_folder() / "mnist-mini" / "nade" / "record.json")


def noise(seed: int, size: int) -> Tensor:
    """Standard normal numbers `(size,)`, float64."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stream_result(per_symbol: Tensor, context: int, stride: int) -> tuple[Record, LogProbs]:
    """A record on a stream, and its windows' log-probabilities, from those of the symbols."""
    windows = overlapping_windows(torch.arange(len(per_symbol)), context, stride)
    assert windows.scored is not None
    log_probs = (per_symbol[windows.events] * windows.scored).sum(1)
    test = BASE.splits["test"].model_copy(
        update={"num_dims": len(per_symbol), "num_events": len(log_probs)}
    )
    evaluation = WindowsRecord(context=context, stride=stride)
    record = with_likelihood(BASE, test=test, windows=evaluation)
    return record, LogProbs(log_probs)


@pytest.mark.parametrize(("a", "b"), [((8, 4), (16, 4)), ((8, 4), (16, 8)), ((16, 8), (8, 8))])
def test_streams_with_other_windows_compare_on_shared_stretches(
    a: tuple[int, int], b: tuple[int, int]
) -> None:
    difference = difference_of(
        [stream_result(noise(3, 1003), *a)], [stream_result(noise(4, 1003) - 0.5, *b)]
    )
    assert difference is not None
    assert difference.blocks is not None
    total = (noise(3, 1003) - noise(4, 1003) + 0.5).sum().item()
    assert difference.nats * difference.num_events == pytest.approx(total, rel=1e-12)
    # Independent symbols: the error of the total is sqrt(2 * 1003), whatever the blocks.
    assert difference.standard_error * difference.num_events == pytest.approx(
        math.sqrt(2006), rel=0.3
    )


def test_windows_without_shared_stretches_cannot_be_compared() -> None:
    a, b = stream_result(noise(3, 1003), 97, 89), stream_result(noise(4, 1003), 101, 83)
    assert difference_of([a], [b]) is None


LENGTHS = (5, 20, 13, 9)


def pieces_result(per_step: Tensor, context: int, stride: int) -> tuple[Record, LogProbs]:
    """A record on pieces, and its windows' log-probabilities, from those of the steps."""
    sums, groups = [], []
    for number, steps in enumerate(per_step.split(LENGTHS)):
        windows = text_windows(torch.arange(len(steps)), Windows(context, stride))
        assert windows.scored is not None
        sums += [steps[e[s]].sum() for e, s in zip(windows.events, windows.scored, strict=True)]
        groups += [number] * len(windows)
    test = BASE.splits["test"].model_copy(
        update={"num_dims": len(per_step), "num_events": len(sums), "num_groups": len(LENGTHS)}
    )
    pieces = PiecesRecord(context=context, stride=stride, step_dims=1)
    record = with_likelihood(BASE, test=test, pieces=pieces)
    return record, LogProbs(torch.stack(sums), torch.tensor(groups))


def test_pieces_with_other_windows_compare_piece_by_piece() -> None:
    a, b = noise(3, sum(LENGTHS)), noise(4, sum(LENGTHS)) - 0.5
    by_piece = torch.stack([x.sum() for x in (a - b).split(LENGTHS)])
    for windows in ((20, 20), (8, 3), (4, 4)):
        difference = difference_of([pieces_result(a, 6, 2)], [pieces_result(b, *windows)])
        assert difference is not None
        assert difference.num_groups == difference.num_events == len(LENGTHS)
        assert difference.nats == pytest.approx(by_piece.mean().item(), rel=1e-12)
        assert difference.standard_error == pytest.approx(by_piece.std().item() / 2, rel=1e-12)


class Coins:
    """Symbols that come with probabilities 1 - p and p, whatever stands before them."""

    def __init__(self, p: float, context: int) -> None:
        self.context = context
        self.log_probs = torch.tensor([1 - p, p], dtype=torch.float64).log()

    def log_prob(self, x: Tensor, scored: Tensor | None) -> Tensor:
        per_symbol = self.log_probs[x]
        return (per_symbol if scored is None else per_symbol * scored).sum(1)

    def sample(self, n: int) -> Tensor:
        return (torch.rand(n, self.context) < self.log_probs[1].exp()).long()


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A maker of run folders on a text of a's and b's, whose windows it is told."""
    folder = tmp_path_factory.mktemp("texts")
    text = folder / "text.txt"
    text.write_text("".join(SYMBOLS[n > 0] for n in noise(5, 20_150)))

    def evaluate(name: str, p: float, context: int, stride: int, limit: int | None = None) -> Path:
        density = arbench.ForeignDensity(
            Coins(p, context), spec=EventSpec((context,), Discrete(2)), kind="exact"
        )
        return arbench.evaluate_density(
            density, f"text:{text}", name=name, stride=stride, limit=limit, out=folder / name
        ).path

    return evaluate


def test_runs_with_other_windows_compare_symbol_by_symbol(evaluated: Callable[..., Path]) -> None:
    """As many windows in both, but not the same: paired by number they would be nonsense."""
    a, b = evaluated("a", 0.5, 16, 8), evaluated("b", 0.3, 24, 8)
    difference = compare_runs(a, b)
    totals = [Record.read(run / "record.json").splits["test"].total_nats for run in (a, b)]
    total = difference.nats * difference.num_events
    assert total == pytest.approx(totals[1] - totals[0], rel=1e-9)


def test_a_part_is_not_compared_with_the_whole(evaluated: Callable[..., Path]) -> None:
    whole, part = evaluated("whole", 0.5, 16, 8), evaluated("part", 0.5, 16, 8, limit=40)
    with pytest.raises(DataError, match="on 1,008 dims and .* on 328 of the same .*: --limit"):
        compare_runs(whole, part)


def test_without_shared_stretches_there_is_no_comparison(evaluated: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="no two independent stretches of the test split in common"):
        compare_runs(evaluated("odd", 0.5, 97, 89), evaluated("even", 0.5, 101, 83))
