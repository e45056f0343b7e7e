"""Letters for comparisons of all pairs: results share one where no test tells them apart."""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray


def letters_of(alike: NDArray[np.bool_]) -> list[str]:
    """Letters for each result, such as "a b": two share one if, and only if, they are alike.

    Not to be told apart is no equivalence: the first of three may be told from the last, and
    neither from the one between, which then has the letters of both.

    Args:
        alike: `(R, R)`, symmetric: whether two results cannot be told apart. The letters of
            earlier ones come first.

    Source: Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons",
        Journal of Computational and Graphical Statistics 13, 2004, for the display. Deviation:
        groups are found greedily, so that there may be more letters than the fewest possible.
    """
    num_results = len(alike)
    fitting = [_bits(row) | 1 << place for place, row in enumerate(alike)]
    missing = [*fitting]  # those alike with which a result shares no letter yet
    letters: list[list[str]] = [[] for _ in range(num_results)]
    count = 0
    for first in range(num_results):
        while missing[first]:
            members = _members(first, fitting, missing[first])
            together, count = sum(1 << member for member in members), count + 1
            for place in members:
                letters[place].append(_letter(count))
                missing[place] &= ~together
    return [" ".join(own) for own in letters]


def _members(first: int, fitting: list[int], wanted: int) -> list[int]:
    """A group that holds the first and one that is wanted, all alike, to which no other fits.

    Sets are integers, a bit for each result.
    """
    members, left = [first], fitting[first] & ~(1 << first)
    while left:
        chosen = left & wanted or left
        place = (chosen & -chosen).bit_length() - 1  # the earliest
        members.append(place)
        left &= fitting[place] & ~(1 << place)
    return members


def _bits(row: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little")


def _letter(number: int) -> str:
    """The first is "a", the 26th "z", the 27th "aa"."""
    text = ""
    while number:
        number, place = divmod(number - 1, len(ascii_lowercase))
        text = ascii_lowercase[place] + text
    return text
