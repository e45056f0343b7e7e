"""Wrong ways to divide, read and write files of one's own, each found out by its check."""

# Each is what arbench did once, or what the library beneath it does if it is simply asked.

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

from arbench.data.formats import mu_law
from arbench.data.formats.recordings import read_recording
from arbench.data.tasks import SPLITS, Division
from arbench_files.division import places, row_shares

Array = NDArray[Any]
Divide = Callable[[Array], list[Array]]

# Dividing draws


def by_index(rows: Array) -> list[Array]:
    found = places({"all": rows}, Path("x"), Division(rule="rows"))
    return [rows[found[name][1]] for name in SPLITS]


def by_content(rows: Array) -> list[Array]:
    """All copies of a row meet in one split."""
    edges = np.searchsorted([0.8, 0.9], row_shares(rows), side="right")
    return [rows[edges == part] for part in range(3)]


def first_come(rows: Array) -> list[Array]:
    """The last tenth is tested, though a file may be sorted."""
    return np.split(rows, [len(rows) * 8 // 10, len(rows) * 9 // 10])


def check_draws(divide: Divide) -> str | None:
    """Test rows come as the train rows do: sorted coins, each of eight rows equally often."""
    coins = np.random.default_rng(1).integers(0, 2, (8000, 3))
    rows = coins[np.lexsort(coins.T)]
    train, _, test = divide(rows)
    numbers = [
        np.bincount(part @ [4, 2, 1], minlength=8) / max(1, len(part)) for part in (train, test)
    ]
    off = np.abs(numbers[1] - numbers[0]).max()
    # A share of 1/8 of 800 rows has a deviation of 0.0117.
    return None if off < 5 * 0.0117 else f"a row has {off:.2f} more of test than of train"


# Writing sounds


def rounded(amplitudes: Array) -> bytes:
    whole, buffer = np.rint(amplitudes * 2**15).astype(np.int16), io.BytesIO()
    soundfile.write(buffer, whole, 8000, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def floats_to_the_library(amplitudes: Array) -> bytes:
    """It rounds them down."""
    buffer = io.BytesIO()
    soundfile.write(buffer, amplitudes, 8000, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def check_written(write: Callable[[Array], bytes]) -> str | None:
    amplitudes = mu_law.decode(np.arange(256))
    steps = (read_recording(write(amplitudes), "x").amplitudes - amplitudes) * 2**15
    return None if abs(steps.mean()) < 0.1 else f"{steps.mean():+.2f} steps on the average"


# Telephone codes


def codes_as_levels(codes: NDArray[np.uint8]) -> Array:
    return mu_law.from_codes(codes)


def codes_as_amplitudes(codes: NDArray[np.uint8]) -> Array:
    """Its curve is of straight pieces, ours is not."""
    return mu_law.encode(mu_law.decode_codes(mu_law.from_codes(codes)))


def codes_as_numbers(codes: NDArray[np.uint8]) -> Array:
    """As they are stored, from the most negative up to 0, then from the loudest down."""
    return codes


def check_codes(levels_of: Callable[[NDArray[np.uint8]], Array]) -> str | None:
    codes = np.arange(256, dtype=np.uint8)
    levels = levels_of(codes)
    if (count := len(set(levels.tolist()))) < 256:
        return f"256 codes on {count} levels"
    amplitudes = mu_law.decode_codes(mu_law.from_codes(codes))[np.argsort(levels)]
    return None if (np.diff(amplitudes) >= 0).all() else "levels out of order"


CASES = [
    (by_content, by_index, check_draws, "more of test than of train"),
    (first_come, by_index, check_draws, "more of test than of train"),
    (floats_to_the_library, rounded, check_written, "-0.5"),
    (codes_as_amplitudes, codes_as_levels, check_codes, "256 codes on 239 levels"),
    (codes_as_numbers, codes_as_levels, check_codes, "levels out of order"),
]


@pytest.mark.parametrize(
    ("broken", "right", "check", "evidence"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_the_broken_way_is_found_out_and_the_right_one_is_not(
    broken: Any, right: Any, check: Callable[[Any], str | None], evidence: str
) -> None:
    assert evidence in (check(broken) or "")
    assert check(right) is None


# Reading


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        (b"P5 2 1 15\n\x03\x0f", [3, 15]),
        (b"P5 2 1 1\n\x00\x01", [0, 1]),
        (b"P6 1 1 65535\n\x01\x02\x03\x04\x05\x06", [0x102, 0x304, 0x506]),
    ],
)
def test_pillow_if_simply_asked_gives_other_numbers(content: bytes, stored: list[int]) -> None:
    """Why `read_pixels` looks at the header itself; its tests refuse these files."""
    with Image.open(io.BytesIO(content)) as image:
        found = np.asarray(image).ravel().tolist()
    assert found != stored
    assert max(found) < 256


def test_the_sound_library_if_simply_asked_takes_half_a_file_for_a_whole_one() -> None:
    """Why `read_recording` counts the bytes itself."""
    whole = rounded(np.linspace(-0.5, 0.5, 1000))
    samples, _ = soundfile.read(io.BytesIO(whole[: len(whole) // 2]))
    assert 0 < len(samples) < 1000
