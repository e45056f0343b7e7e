"""A model before training, for whoever fits one on the way."""

from __future__ import annotations

import math

import pytest
import torch

from arbench import ConfigError, Discrete, EventSpec, Layout, Real, untrained

LAYOUT = Layout(EventSpec((1, 3, 3), Discrete(2)))


def test_it_has_the_head_of_the_data_and_the_settings() -> None:
    model = untrained("cpt", LAYOUT, neighbours=2)
    assert model.head.name == "bernoulli"
    assert model.network.num_neighbours == 2
    found = model.log_prob(torch.zeros(1, 1, 3, 3, dtype=torch.int64))
    assert found.item() == pytest.approx(-9 * math.log(2)), "tables are uniform before they count"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="smoothin"):
        untrained("cpt", LAYOUT, smoothin=2.0)
    with pytest.raises(ConfigError, match="cpt"):
        untrained("cpt", Layout(EventSpec((3,), Real())))
    with pytest.raises(ConfigError, match="did you mean"):
        untrained("nadee", LAYOUT)
