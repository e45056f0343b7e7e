"""Letters of a board: what they say is what the tests say, for any outcome of the tests."""

from __future__ import annotations

import numpy as np
import pytest

from arbench.measure.statistics.letters import letters_of


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("num_results", [1, 2, 7, 40])
def test_two_share_a_letter_if_and_only_if_they_are_alike(num_results: int, share: float) -> None:
    drawn = np.random.default_rng(num_results).random((num_results, num_results)) < share
    alike = np.triu(drawn, 1) | np.triu(drawn, 1).T | np.eye(num_results, dtype=bool)
    letters = [set(text.split()) for text in letters_of(alike)]
    for a in range(num_results):
        for b in range(num_results):
            assert bool(letters[a] & letters[b]) == alike[a, b], (a, b)


def test_letters_come_in_order_and_go_on_after_z() -> None:
    assert letters_of(np.eye(28, dtype=bool))[-4:] == ["y", "z", "aa", "ab"]
    chain = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool)
    assert letters_of(chain) == ["a", "a b", "b"]
    assert letters_of(np.ones((3, 3), dtype=bool)) == ["a", "a", "a"]
