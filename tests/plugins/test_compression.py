"""Compression: as short as the likelihood says, decoded to equal events, whoever computes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coding import CASES, WHO, Case, Shaken, linear, own_file
from torch import Tensor

from arbench import (
    Categorical,
    DataError,
    Discrete,
    Ensemble,
    EventSpec,
    ForeignDensity,
    Gaussian,
    Layout,
    Model,
    Real,
    Split,
    in_bits,
)
from arbench.data.streams import overlapping_windows
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
from arbench.testing.conformance import subjects
from arbench.testing.subject import NotApplicableError
from arbench.testing.toys import JointCategorical, LinearNetwork, SteppingTable, TableNetwork
from arbench_compression import codec, coder, grid
from arbench_compression.content import Content, Ends, Plan, content_of
from arbench_compression.tree import values_decided

constriction: Any = pytest.importorskip("constriction")
each_case = pytest.mark.parametrize("make", CASES.values(), ids=CASES)


# The odds.


def test_every_point_of_the_grid_has_the_odds_that_it_stands_for() -> None:
    points = np.arange(-grid.LAST, grid.LAST + 1)
    ones = grid.weights(points)[:, 1] + 1
    exact = grid.TOTAL / (1 + np.exp(-points * grid.STEP_NATS))
    assert np.array_equal(ones, ones.round())
    assert np.abs(ones - exact).max() <= 0.5
    assert np.array_equal(ones + ones[::-1], np.full(len(points), float(grid.TOTAL)))
    assert ones.min() == 1
    assert (np.diff(ones) >= 0).all()
    # No exponential function of any machine is off by so much that a table would be another.
    inner = exact[np.abs(points) < grid.LAST]
    assert np.abs(inner - np.floor(inner) - 0.5).min() > 1e-5


def test_the_table_stays_what_files_were_written_with() -> None:
    table = grid.weights(np.arange(-grid.LAST, grid.LAST + 1)).astype("<i8")
    digest = hashlib.sha256(table.tobytes()).hexdigest()
    assert digest == "f1ea106b566a0a0f3120f6186ab45db926371450f47ceb550f54812d2df65192"


def test_rounding_costs_next_to_nothing() -> None:
    """At any odds, on average over the bits that come with these odds."""
    log_odds = torch.linspace(-16, 16, 40_001, dtype=torch.float64)
    points, _, _ = grid.rounded(log_odds)
    zeros, ones = (grid.cost(points, np.full(len(points), bit)) for bit in (0, 1))
    p = torch.sigmoid(log_odds).numpy()
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    lost = p * ones + (1 - p) * zeros - entropy
    assert lost.min() > -1e-12
    assert lost.max() < 1.2e-5 * math.log(2)
    assert lost[np.abs(log_odds.numpy()) < 0.1].mean() < 4e-6 * math.log(2)


class Ans:
    """The coder of the paper, 64 bits of state and words of 32: what constriction has to do."""

    def __init__(self) -> None:
        self.state, self.words = 0, list[int]()

    def push(self, left: int, frequency: int) -> None:
        if self.state >> 40 >= frequency:
            self.words.append(self.state & 0xFFFFFFFF)
            self.state >>= 32
        high, low = divmod(self.state, frequency)
        self.state = (high << 24) + left + low


def test_constriction_codes_with_exactly_the_frequencies_of_the_table() -> None:
    points = np.tile(np.arange(-grid.LAST, grid.LAST + 1), 3)
    weights = grid.weights(points)
    bits = (np.random.default_rng(0).random(len(points)) < 0.5).astype(np.int32)
    own = Ans()
    for bit, (zero, one) in zip(bits[::-1], weights[::-1].astype(int) + 1, strict=True):
        own.push(int(zero) if bit else 0, int(one if bit else zero))
    while own.state:
        own.words.append(own.state & 0xFFFFFFFF)
        own.state >>= 32
    ans, family = coder._constriction()
    theirs = ans()
    theirs.encode_reverse(bits, family, weights)
    assert theirs.get_compressed().tolist() == own.words


def test_weights_are_float64_and_row_by_row_as_constriction_reads_them() -> None:
    """It reads column-major weights row by row all the same, and so codes something else."""
    points = np.array([5, -700, 31, 900])
    weights = grid.weights(points)
    assert weights.dtype == np.float64
    assert weights.flags.c_contiguous
    bits = np.array([1, 0, 0, 1], dtype=np.int32)
    words = []
    for given in (weights, np.asfortranarray(weights)):
        ans, family = coder._constriction()
        made = ans()
        made.encode_reverse(bits, family, given)
        words.append(made.get_compressed().tolist())
    assert words[0] != words[1]


@pytest.mark.parametrize("num_values", [2, 3, 5, 8, 27, 256])
def test_decisions_together_have_the_probability_of_the_value(num_values: int) -> None:
    torch.manual_seed(0)
    log_probs = (4 * torch.randn(num_values, num_values, dtype=torch.float64)).log_softmax(-1)
    truth, total = torch.arange(num_values), torch.zeros(num_values, dtype=torch.float64)
    log_sigmoid = torch.nn.functional.logsigmoid

    def decide(log_odds: Tensor, asked: Tensor, place: int) -> Tensor:
        bits = truth[asked] >> place & 1
        total[asked] += log_sigmoid((2 * bits - 1) * log_odds)
        return bits

    assert torch.equal(values_decided(log_probs, decide), truth)
    torch.testing.assert_close(total, log_probs.diagonal(), rtol=1e-12, atol=1e-12)


# Files.


@each_case
def test_equal_events_come_back(make: Callable[[], Case], tmp_path: Path) -> None:
    case = make()
    file = own_file(tmp_path, case)
    _, back = codec.decompress(case.path(), WHO, file)
    assert torch.equal(back.items.long(), case.content.items.long())
    assert back.plan == case.content.plan


@each_case
def test_a_file_is_as_long_as_the_likelihood_says(make: Callable[[], Case], tmp_path: Path) -> None:
    case = make()
    coded, sizes = codec.compress(case.path(), case.content, WHO, tmp_path / "case.arb")
    ideal = in_bits(coded.ideal_nats.sum().item())
    assert ideal - 8 < 8 * sizes.payload <= 1.0002 * ideal + 64
    assert sizes.header <= 256
    assert (tmp_path / "case.arb").stat().st_size == sum(vars(sizes).values())


def test_the_ideal_is_the_likelihood(tmp_path: Path) -> None:
    for name in ("bits", "levels", "stepping", "pixels"):
        case = CASES[name]()
        coded = coder.write(case.path(), case.content)
        expected = -case.model.double().log_prob(case.content.items)
        torch.testing.assert_close(coded.ideal_nats, expected.detach(), rtol=1e-12, atol=1e-12)


def test_a_stream_is_scored_as_evaluation_scores_it() -> None:
    case = CASES["stream"]()
    windows = overlapping_windows(case.content.items, 8, 3)
    coded = coder.write(case.path(), case.content)
    expected = -case.model.double().log_prob(windows.events, windows.scored)
    torch.testing.assert_close(coded.ideal_nats, expected.detach(), rtol=1e-12, atol=1e-12)
    content = content_of(windows, case.content.plan.windows, 1)
    assert torch.equal(content.items, case.content.items)
    assert content.plan == case.content.plan


def test_padding_is_neither_coded_nor_paid_for() -> None:
    case = CASES["words"]()
    events = case.content.items
    scored = (events == 0).cumsum(1) - (events == 0).long() == 0
    assert content_of(Split(events, scored), None, 32).plan == case.content.plan
    coded = coder.write(case.path(), case.content)
    expected = -case.model.double().log_prob(events, scored)
    torch.testing.assert_close(coded.ideal_nats, expected.detach(), rtol=1e-12, atol=1e-12)


# Whoever computes.


@each_case
@pytest.mark.parametrize("seed", range(3))
def test_log_probabilities_that_are_a_little_off_decode_alike(
    make: Callable[[], Case], seed: int
) -> None:
    case = make()
    coded = coder.write(case.path(), case.content)
    shaken = Shaken(case.path(), 1e-10, seed)
    back = coder.read(shaken, case.content.plan, coded.stack, coded.choices)
    assert torch.equal(back.items.long(), case.content.items.long())


def on_edges() -> Case:
    """All log-odds lie in the middle between two grid points, or a rounding error beside it."""
    layout = Layout(EventSpec((6,), Discrete(2)))
    network = TableNetwork(layout, 2, scale=1.0)
    for table in network.tables:
        table.data = table.data.double()
        table.data[:, 0] = 0.0
        table.data[:, 1] = (torch.floor(table.data[:, 1] * 64) + 0.5) / 64
    model = Model(network, Categorical(layout), layout).eval()
    return Case(model, Content(Plan(200, 64), model.sample(200)))


def test_on_rounding_edges_the_writer_says_which_way_it_went() -> None:
    case = on_edges()
    coded = coder.write(case.path(), case.content)
    assert len(coded.choices) == 6 * 200
    for seed in range(3):
        shaken = Shaken(case.path(), 1e-10, seed)
        back = coder.read(shaken, case.content.plan, coded.stack, coded.choices)
        assert torch.equal(back.items.long(), case.content.items.long())


def is_read_right(case: Case, stack: bytes, choices: tuple[coder.Choice, ...]) -> bool:
    """Whether the same events come back where numbers are a little off."""
    try:
        back = coder.read(Shaken(case.path(), 1e-10), case.content.plan, stack, choices)
    except DataError:
        return False
    return torch.equal(back.items.long(), case.content.items.long())


def test_without_its_choices_such_a_file_is_read_wrongly_and_refused(tmp_path: Path) -> None:
    """So the choices are what the test before is about."""
    case = on_edges()
    coded = coder.write(case.path(), case.content)
    assert not is_read_right(case, coded.stack, ())
    assert is_read_right(case, coded.stack, coded.choices)
    file = own_file(tmp_path, case)
    codec.decompress(Shaken(case.path(), 1e-10), WHO, file)
    with pytest.raises(DataError, match=r"damaged|not what was written"):
        codec.decompress(Shaken(case.path(), 1.0), WHO, file)


# What cannot be compressed.


def test_it_refuses_by_reason_what_it_cannot_compress() -> None:
    real = Layout(EventSpec((3,), Real()))
    density = Model(LinearNetwork(real, 2), Gaussian(real), real)
    assert "over real numbers" in str(codec.why_not(density, None))
    members = [linear(Layout.permuted(EventSpec((3,), Discrete(2)), seed)) for seed in (0, 1)]
    assert "ensemble of several orders" in str(codec.why_not(Ensemble(members), None))
    foreign = ForeignDensity(members[0], spec=members[0].spec, kind="exact")
    assert "foreign density" in str(codec.why_not(foreign, None))
    bound = ForeignDensity(members[0], spec=members[0].spec, kind="bound")
    assert "a bound" in str(codec.why_not(bound, None))
    together = Layout(EventSpec((2, 1, 2), Discrete(2)), sites="pixel")
    head = JointCategorical(together)
    joint = Model(SteppingTable(together, head.num_params), head, together)
    assert "all dims of a site at once" in str(codec.why_not(joint, None))
    windows = CASES["stream"]().content.plan.windows
    permuted = linear(Layout.permuted(EventSpec((8,), Discrete(2)), seed=1))
    assert "another order" in str(codec.why_not(permuted, windows))
    assert codec.why_not(permuted, None) is None
    assert codec.why_not(CASES["stream"]().model, windows) is None


@pytest.mark.parametrize(
    ("scored", "padding", "message"),
    [
        ([[1, 0, 1, 1], [1, 1, 1, 1]], 0, "here and there"),
        ([[1, 1, 0, 0], [1, 1, 1, 1]], None, "of 2 values"),
    ],
)
def test_events_that_do_not_end_are_refused(
    scored: list[list[int]], padding: int | None, message: str
) -> None:
    events = torch.tensor([[1, 2, 3, 1], [1, 1, 1, 1]])
    if padding is not None:
        events = events.masked_fill(torch.tensor(scored) == 0, padding)
    with pytest.raises(DataError, match=message):
        content_of(Split(events, torch.tensor(scored).bool()), None, 8)


def test_an_impossible_event_is_refused() -> None:
    layout = Layout(EventSpec((2,), Discrete(3)))
    network = TableNetwork(layout, 3)
    network.tables[0].data[:, 2] = -torch.inf
    model = Model(network, Categorical(layout), layout).eval()
    content = Content(Plan(1, 1), torch.tensor([[2, 0]]))
    with pytest.raises(DataError, match="no probability"):
        coder.write(model.reference_path(), content)


def test_ends_are_found() -> None:
    events = torch.tensor([[1, 2, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    scored = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]).bool()
    assert content_of(Split(events, scored), None, 8).plan.ends == Ends(0, 0)
    told = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]).bool()
    assert content_of(Split(events, told), None, 8).plan.ends == Ends(None, 0, (2, 1, 4))


# Whatever model.


@pytest.mark.parametrize("model", registry().models)
def test_every_model_has_its_events_back(model: str) -> None:
    """With its own steps, in every order, on every kind of tiny events that it takes."""
    num_coded = 0
    for where, subject in subjects(registry().find(ModelEntry, model).load()).items():
        try:
            density = subject.fresh().eval()
        except NotApplicableError:
            continue
        if codec.why_not(density, None) is not None:
            continue
        events = subject.random_events(20, seed=1)
        content = content_of(Split(events, subject.tiny.scored(events)), None, 8)
        path = density.reference_path()
        coded = coder.write(path, content)
        back = coder.read(path, content.plan, coded.stack, coded.choices)
        assert torch.equal(back.items.long(), events.long()), where
        expected = -density.double().log_prob(events, subject.tiny.scored(events))
        torch.testing.assert_close(coded.ideal_nats, expected.detach(), rtol=1e-9, atol=1e-9)
        num_coded += 1
    assert num_coded or model in ("rnade", "tarflow")  # of real numbers
