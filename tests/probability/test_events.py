"""Events: specs, and their validation."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arbench.probability.events import Discrete, EventSpec, Mixed, Real, joined

SIZES = st.integers(1, 5)
SHAPES = st.one_of(st.tuples(SIZES), st.tuples(SIZES, SIZES, SIZES))
DOMAINS = st.one_of(
    st.builds(Discrete, st.integers(2, 256)),
    st.builds(Real, st.one_of(st.none(), st.floats(1e-6, 1e6))),
)


@given(SHAPES, DOMAINS)
def test_dims_are_counted(shape: tuple[int, ...], domain: Discrete | Real) -> None:
    spec = EventSpec(shape, domain)
    assert spec.num_dims == torch.zeros(shape).numel() == math.prod(shape)


@pytest.mark.parametrize("shape", [(), (2, 3), (0,), (1, 0, 3), (1, 2, 3, 4)])
def test_shape_is_image_sequence_or_row(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"an event has shape"):
        EventSpec(shape, Discrete(2))


def test_degenerate_domains_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 values"):
        EventSpec((3,), Discrete(1))
    for width in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="positive"):
            EventSpec((3,), Real(width))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
@pytest.mark.parametrize("size", [2, 4, 200, 256])
def test_every_value_of_the_alphabet_is_valid(size: int, dtype: torch.dtype) -> None:
    EventSpec((size,), Discrete(size)).validate(torch.arange(size).to(dtype)[None])


@pytest.mark.parametrize(
    ("value", "domain", "message"),
    [
        (2, Discrete(2), r"event 3, dim 1: found 2.0, expected integers in \[0, 2\)"),
        (-1, Discrete(2), "found -1.0"),
        (0.5, Discrete(2), "found 0.5"),
        (math.nan, Discrete(2), "found nan"),
        (math.inf, Real(), "found inf, expected finite numbers"),
        (math.nan, Real(), "found nan"),
    ],
)
def test_first_bad_value_is_named(value: float, domain: Discrete | Real, message: str) -> None:
    events = torch.zeros(5, 4)
    events[3, 1] = value
    events[4, 0] = value
    with pytest.raises(ValueError, match=message):
        EventSpec((4,), domain).validate(events)


MIXED = Mixed((Discrete(3), Real(), Discrete(2)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([3, 0.5, 1], r"event 1, dim 0: found 3.0, expected integers in \[0, 3\)"),
        ([2, math.nan, 1], "event 1, dim 1: found nan, expected finite numbers"),
        ([2, -math.inf, 1], "dim 1: found -inf"),
        ([2, 7.5, 2], r"dim 2: found 2.0, expected integers in \[0, 2\)"),
        ([0.5, 0.5, 0], "dim 0: found 0.5"),
    ],
)
def test_each_dim_of_a_row_has_its_own_domain(row: list[float], message: str) -> None:
    spec = EventSpec((3,), MIXED)
    good = torch.tensor([[2, -1.5, 1]])
    spec.validate(good)
    with pytest.raises(ValueError, match=message):
        spec.validate(torch.cat((good, torch.tensor([row]))))


def test_a_mixed_domain_is_of_rows_that_need_it() -> None:
    assert joined([Discrete(3), Discrete(3)]) == Discrete(3)
    assert joined(MIXED.dims) == MIXED
    assert str(MIXED) == "mixed (1 real, 1 binary, 1 categorical)"
    for dims in ((Real(),), (Discrete(3), Discrete(3))):
        with pytest.raises(ValueError, match="say the one domain"):
            Mixed(dims)
    with pytest.raises(ValueError, match="at most 16,777,216 values"):
        Mixed((Real(), Discrete(2**24 + 1)))
    for shape in ((4,), (1, 1, 3)):
        with pytest.raises(ValueError, match="a mixed domain of 3 dims is of rows"):
            EventSpec(shape, MIXED)
    with pytest.raises(ValueError, match="at least 2 values"):
        EventSpec((2,), Mixed((Discrete(1), Real())))


def test_bins_of_a_row_are_of_one_width_or_none() -> None:
    assert Mixed((Discrete(3), Discrete(2))).bin_width == 1
    assert Mixed((Discrete(3), Real(1.0))).bin_width == 1
    assert Mixed((Discrete(3), Real(0.5))).bin_width is None
    assert MIXED.bin_width is None


def test_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected events of shape \(B, 1, 2, 3\)"):
        EventSpec((1, 2, 3), Discrete(2)).validate(torch.zeros(7, 6))
