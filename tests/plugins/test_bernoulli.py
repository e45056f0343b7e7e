"""Independent dims: the closed form, and that nothing else is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.heads import natural_head
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench_bernoulli.network import Independent


def make_model(size: int, smoothing: float = 1.0) -> Model:
    layout = Layout(EventSpec((5,), Discrete(size)))
    head = natural_head(layout)
    network = Independent(layout, head.num_params, smoothing=smoothing)
    return Model(network.double(), head, layout)


@pytest.mark.parametrize("size", [2, 3])
def test_fit_gives_smoothed_frequencies(size: int) -> None:
    model = make_model(size, smoothing=0.5)
    events = torch.randint(size, (40, 5))
    model.network.fit([(events[:25, :, None], None), (events[25:, :, None], None)])
    table = np.stack([np.bincount(column, minlength=size) + 0.5 for column in events.numpy().T]) / (
        40 + 0.5 * size
    )
    expected = [np.log(table[np.arange(5), event]).sum() for event in events.numpy()]
    np.testing.assert_allclose(model.log_prob(events).numpy(), expected, rtol=1e-12)


def test_nothing_smaller_than_the_optimum_nearby() -> None:
    model = make_model(2, smoothing=1e-9)
    events = (torch.rand(200, 5) < torch.tensor([0.2, 0.4, 0.5, 0.6, 0.9])).long()
    model.network.fit([(events.unsqueeze(-1), None)])
    best = model.log_prob(events).mean()
    for shift in (-0.05, 0.05):
        moved = make_model(2)
        moved.network.log_probs.copy_(model.network.log_probs)
        moved.network.log_probs[:, 1] += shift
        assert moved.log_prob(events).mean() < best


def test_values_not_scored_are_not_counted() -> None:
    model, other = make_model(3), make_model(3)
    events = torch.randint(3, (30, 5))
    scored = torch.rand(30, 5) < 0.5
    changed = torch.where(scored, events, (events + 1) % 3)
    model.network.fit([(events.unsqueeze(-1), scored)])
    other.network.fit([(changed.unsqueeze(-1), scored)])
    assert torch.equal(model.network.log_probs, other.network.log_probs)


def test_fit_forgets_an_earlier_fit() -> None:
    model = make_model(2)
    ones, zeros = torch.ones(9, 5, 1).long(), torch.zeros(9, 5, 1).long()
    model.network.fit([(ones, None)])
    model.network.fit([(zeros, None)])
    expected = torch.tensor(10 / 11).log().double()
    torch.testing.assert_close(model.network.log_probs[:, 0], expected.expand(5))


def test_refusals() -> None:
    layout = Layout(EventSpec((4,), Discrete(3)))
    with pytest.raises(ValueError, match="smoothing must be positive"):
        Independent(layout, 3, smoothing=0)
    with pytest.raises(ValueError, match="needs 3 parameters per site"):
        Independent(layout, 1)
    with pytest.raises(ValueError, match="discrete"):
        Independent(Layout(EventSpec((4,), Real())), 1)
