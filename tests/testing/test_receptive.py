"""The receptive field: what is seen, what is blind, and a picture of both."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from torch import Tensor, nn

from arbench.probability.layouts import Layout
from arbench.testing.receptive import receptive_field
from arbench.testing.subject import ConformanceError
from arbench.testing.toys import LinearNetwork


class NeverSeesTheFirst(LinearNetwork):
    """Site 0 has no influence."""

    def forward(self, sites: Tensor) -> Tensor:
        rest = sites.clone()
        rest[:, 0] = 0
        return super().forward(rest)


class Wide(LinearNetwork):
    """Has settings, and is small in the checks."""

    tiny_hyperparameters: ClassVar = {"hidden": 3, "kernels": [1]}

    def __init__(self, layout: Layout, num_params: int, *, hidden: int, kernels: list[int]) -> None:
        super().__init__(layout, num_params)


class SeesItself(LinearNetwork):
    """The diagonal leaks."""

    def forward(self, sites: Tensor) -> Tensor:
        return super().forward(sites) + 0.1 * sites


def test_a_network_that_sees_everything_has_no_blind_spots() -> None:
    found = receptive_field(LinearNetwork, (1, 3, 2), 2)
    assert found.blind_spots == []
    assert found.leaks == []
    assert "of 15 pairs of an earlier and a later site 15 are seen, 0 are blind" in found.describe(
        "linear"
    )


def test_blind_spots_and_leaks_are_listed() -> None:
    found = receptive_field(NeverSeesTheFirst, (4,), 3)
    assert found.blind_spots == [(0, 1), (0, 2), (0, 3)]
    assert "  site 3 never sees site 0" in found.describe("linear").splitlines()
    leaking = receptive_field(SeesItself, (4,), 3)
    assert leaking.leaks == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert "LEAKS: 4 pairs are seen that must not be, site 0 sees itself" in leaking.describe(
        "leaky"
    )


def test_the_words_say_of_which_network_it_is() -> None:
    plain = receptive_field(LinearNetwork, (3,), 2).describe("linear")
    assert plain.startswith("linear with its default settings: 3 sites of (3,); of 3 pairs")
    assert "small network" not in plain
    small = receptive_field(Wide, (3,), 2, hyperparameters={"hidden": 9}).describe("wide")
    assert small.startswith("wide with hidden=9, kernels=[1]: 3 sites of (3,)")
    assert small.splitlines()[-1] == "This is a small network; --set KEY=VALUE draws another."
    own = receptive_field(Wide, (3,), 2, hyperparameters={"hidden": 9, "kernels": [2]})
    assert "small network" not in own.describe("wide")


def test_picture_has_a_tile_per_pixel_with_what_it_is_blind_to_in_red() -> None:
    picture = np.asarray(receptive_field(NeverSeesTheFirst, (1, 2, 2), 2).draw())
    cell, gap = 6, 4
    tile = 2 * cell + gap

    def colour(at: tuple[int, int], of: tuple[int, int]) -> tuple[int, ...]:
        row, column = (gap + a * tile + o * cell + 1 for a, o in zip(at, of, strict=True))
        return tuple(picture[row, column].tolist())

    own, blind, later = colour((0, 0), (0, 0)), colour((0, 1), (0, 0)), colour((0, 0), (1, 1))
    assert len({own, blind, later}) == 3
    assert colour((1, 1), (1, 1)) == own
    assert colour((1, 1), (0, 0)) == colour((1, 0), (0, 0)) == blind
    assert colour((0, 1), (1, 0)) == later
    seen = colour((1, 1), (0, 1))
    assert seen not in (own, blind, later)
    assert len(set(seen)) == 1, "what is seen is grey"
    with pytest.raises(ValueError, match="draws images"):
        receptive_field(LinearNetwork, (3,), 2).draw()


def test_a_refusal_is_said_with_the_shape() -> None:
    class Never(nn.Module):
        def __init__(self, layout: object, num_params: int) -> None:
            raise ValueError("needs 5 rows")

    with pytest.raises(ConformanceError, match=r"\(1, 2, 2\) with 2 values: needs 5 rows"):
        receptive_field(Never, (1, 2, 2), 2)
