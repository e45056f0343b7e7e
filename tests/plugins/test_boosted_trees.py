"""Boosted trees against trees grown in plain Python, and what is learned from what."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from arbench.errors import CheckpointError
from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_boosted_trees.boosting import Settings, Trees, boost
from arbench_boosted_trees.network import BoostedTrees

SETTINGS = Settings(depth=2, max_trees=6, patience=6, shrinkage=0.3, leaf_penalty=0.7)


def make_model(num_dims: int, **settings: float) -> Model:
    layout = Layout(EventSpec((num_dims,), Discrete(2)))
    head = natural_head(layout)
    network = BoostedTrees(layout, head.num_params, **settings)
    return Model(network.double(), head, layout)


def logits_of(trees: Trees, known: Tensor) -> list[float]:
    """What a sum of trees says of each event, leaf by leaf."""
    logits = []
    for event in known.T.tolist():
        logit = trees.bias
        for asked, answers in zip(trees.asked.tolist(), trees.answers.tolist(), strict=True):
            digits = "".join(str(int(event[variable])) for variable in asked)
            logit += answers[int(digits, 2)]
        logits.append(logit)
    return logits


def grown(
    known: Sequence[Sequence[int]], target: Sequence[int], settings: Settings, num_trees: int
) -> list[float]:
    """Logits after some trees, each level by trying every variable on groups of events."""
    ones, count = sum(target), len(target)
    logits = [math.log((ones + 0.5) / (count - ones + 0.5))] * count
    for _ in range(num_trees):
        probs = [1 / (1 + math.exp(-logit)) for logit in logits]

        def sums(asked: Sequence[int], probs: Sequence[float] = probs) -> dict[object, list[float]]:
            cells: dict[object, list[float]] = defaultdict(lambda: [0.0, 0.0])
            for event, prob, value in zip(known, probs, target, strict=True):
                cell = cells[tuple(event[variable] for variable in asked)]
                cell[0] += prob - value
                cell[1] += prob * (1 - prob)
            return cells

        asked: list[int] = []
        for _ in range(settings.depth):
            worths = [
                sum(g * g / (h + settings.leaf_penalty) for g, h in sums([*asked, v]).values())
                for v in range(len(known[0]))
            ]
            asked.append(worths.index(max(worths)))
        cells = sums(asked)
        for number, event in enumerate(known):
            slope, curvature = cells[tuple(event[variable] for variable in asked)]
            logits[number] -= settings.shrinkage * slope / (curvature + settings.leaf_penalty)
    return logits


def noisy_and(num_events: int, num_known: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random variables, and one that is mostly the first and not the second of them."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.randint(2, (num_known, num_events), generator=generator).double()
    flipped = (torch.rand(num_events, generator=generator) < 0.1).double()
    return known, (known[0] * (1 - known[1]) - flipped).abs()


def test_trees_are_those_that_plain_python_grows() -> None:
    known, target = noisy_and(60, 5)
    # The events held out are the same ones again: then every tree is better than none.
    twice, held_out = torch.cat((known, known), 1), torch.arange(120) >= 60
    trees = boost(twice, target.repeat(2), held_out, SETTINGS)
    assert len(trees.asked) == 6
    expected = grown(known.T.long().tolist(), target.long().tolist(), SETTINGS, 6)
    assert logits_of(trees, known) == pytest.approx(expected, abs=1e-9)


def test_events_held_out_end_the_growth_and_teach_nothing() -> None:
    known, target = noisy_and(300, 8)
    held_out = torch.arange(300) % 3 == 0
    settings = SETTINGS._replace(max_trees=200)
    trees = boost(known, target, held_out, settings)
    assert 3 < len(trees.asked) < 100  # trees that memorise the flips would help no more
    nats = [
        math.log1p(math.exp(-logit if value else logit))
        for logit, value in zip(logits_of(trees, known), target.tolist(), strict=True)
    ]
    assert sum(nats[::3]) / 100 < 0.45  # 0.325 is the entropy of the flips, 0.61 that of the ones
    other = torch.where(held_out, 1 - target, target)
    changed = boost(known, other, held_out, settings)
    assert changed.bias == trees.bias
    assert len(changed.asked) < 3  # a lie on every one of them: nothing helps for long
    noise = torch.randint(2, (300,), generator=torch.Generator().manual_seed(1)).double()
    assert len(boost(known, noise, held_out, settings).asked) < 10


def test_a_conditional_is_the_mean_of_the_members() -> None:
    model = make_model(3, num_folds=2, depth=2)
    network = model.network
    biases = [[0.3, -0.1], [0.2, 0.5], [-0.4, 0.0]]
    network.biases.copy_(torch.tensor(biases, dtype=torch.float64))
    network.num_trees.copy_(torch.tensor([[0, 0], [1, 0], [1, 2]]))
    network.asked = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    network.answers = torch.arange(16.0).double().view(4, 4) / 5 - 1

    def mean(*logits: float) -> float:
        return sum(1 / (1 + math.exp(-logit)) for logit in logits) / len(logits)

    # The event 1, 0, 1: the trees of site 2 reach leaves 2, 1 and 0.
    answers = network.answers.tolist()
    expected = [
        mean(0.3, -0.1),
        1 - mean(0.2 + answers[0][3], 0.5),
        mean(-0.4 + answers[1][2], 0.0 + answers[2][1] + answers[3][0]),
    ]
    event = torch.tensor([[1, 0, 1]])
    assert model.log_prob(event).item() == pytest.approx(
        sum(math.log(prob) for prob in expected), abs=1e-12
    )


def test_every_event_teaches_all_members_but_one() -> None:
    """Without trees a member is its bias: the frequency among all events but its fold."""
    model = make_model(1, num_folds=4)
    values = (torch.arange(80) % 5 == 0).long()
    shares = [
        *model.network.fit([(values[:30, None, None], None), (values[30:, None, None], None)])
    ]
    assert shares == [1.0]
    ones = (61 * model.network.biases[0].sigmoid() - 0.5).tolist()  # half an event on either side
    assert sum(ones) == pytest.approx(3 * 16, abs=1e-4)
    assert all(abs(number - round(number)) < 1e-4 for number in ones)


def test_a_site_that_is_not_scored_is_not_learned() -> None:
    known, target = noisy_and(400, 2)
    sites = torch.stack((*known, target), dim=1).long().unsqueeze(-1)
    scored = torch.ones(400, 3, dtype=torch.bool)
    scored[200:, 2] = False
    lies = sites.clone()
    lies[200:, 2] = 1 - lies[200:, 2]
    found = []
    for events in (sites, lies):
        model = make_model(3, num_folds=2)
        assert [*model.network.fit([(events, scored)])] == [1 / 3, 2 / 3, 1.0]
        found.append(model.log_prob(sites.squeeze(-1)))
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("asked", torch.tensor([[0, 1]])),  # site 1 asks for itself
        ("asked", torch.tensor([[0, -1]])),
        ("asked", torch.tensor([[0, 0], [0, 0]])),
        ("num_trees", torch.tensor([[0, 0], [2, -1], [0, 0]])),
        ("answers", torch.zeros(2, 4).double()),
    ],
)
def test_weights_that_are_no_trees_are_refused(name: str, wrong: Tensor) -> None:
    state = make_model(3, num_folds=2, depth=2).network.state_dict()
    state["num_trees"] = torch.tensor([[0, 0], [1, 0], [0, 0]])
    state["asked"], state["answers"] = torch.zeros(1, 2).long(), torch.ones(1, 4).double()
    network = make_model(3, num_folds=2, depth=2).network
    network.load_state_dict(state)
    with pytest.raises(CheckpointError, match="no trees"):
        network.load_state_dict({**state, name: wrong})


@pytest.mark.parametrize(
    ("spec", "settings", "words"),
    [
        (EventSpec((3,), Discrete(3)), {}, "draws binary dims one at a time"),
        (EventSpec((3,), Discrete(2)), {"num_folds": 1}, "num_folds must be 2 or more, got 1"),
        (EventSpec((3,), Discrete(2)), {"depth": 11}, "depth must be 1 to 10, got 11"),
        (EventSpec((3,), Discrete(2)), {"leaf_penalty": 0.0}, "must be positive"),
        (EventSpec((3,), Discrete(2)), {"patience": 0}, "must be 1 or more"),
    ],
)
def test_what_cannot_be_is_refused(spec: EventSpec, settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BoostedTrees(Layout(spec), 1, **settings)  # type: ignore[arg-type]
