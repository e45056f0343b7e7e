"""Formats nats, bits and samples/s, with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from arbench.data.units import kind_of
from arbench.probability.bits import in_nats


def nats_per(unit: str) -> str:
    """What nats are given per, in a word, for a task whose dims are called `unit`.

    A text's windows are no events that anybody knows, and names are compared by the character.
    """
    return unit if kind_of(unit) == "text" else "event"


def nats_text(unit: str, nll: Mapping[str, Any], *, digits: int = 3) -> str:
    """Nats with their standard error, such as "1.4697 ± 0.0031", per what `nats_per` says.

    One independent group of events has no standard error. That of a stream may be a lower bound, if
    it still grows with the length of its blocks; then it says so.

    Args:
        unit: what a dim is called.
        nll: one split's part of a record.
        digits: after the point, per event; per symbol there are four.
    """
    if nats_per(unit) == "event":
        error = nll["standard_error_nats"]
        return with_error(nll["nats_per_event"], error, digits, still_growing=_grows(nll))
    error = nll["standard_error_bits_per_dim"]
    error_nats = None if error is None else in_nats(error)
    nats = nll["total_nats"] / nll["num_dims"]
    return with_error(nats, error_nats, 4, still_growing=_grows(nll))


def bits_text(nll: Mapping[str, Any]) -> str:
    """Bits per dim with their standard error, or a dash where a density has none."""
    if nll["bits_per_dim"] is None:
        return "-"
    error = nll["standard_error_bits_per_dim"]
    return with_error(nll["bits_per_dim"], error, 4, still_growing=_grows(nll))


def _grows(nll: Mapping[str, Any]) -> bool:
    """Whether a split's errors are lower bounds."""
    block = nll.get("block")
    return block is not None and block["still_growing"]


def with_error(
    value: float, error: float | None, digits: int, *, still_growing: bool = False
) -> str:
    """A number and its standard error, where it has one, with so many digits after the point."""
    if error is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ± {error:.{digits}f}" + " (still growing)" * still_growing


def measured_text(value: float | None, error: float | None) -> str:
    """A number of any size, to the second digit of its error; without one, to five digits."""
    if value is None:
        return "-"
    if not error:
        return f"{value:,.5g}" + ("" if error is None else " ± 0")
    digits = 1 - math.floor(math.log10(error))
    return with_error(value, error, max(digits, 0))


def rate_text(events_per_s: float, *, extrapolated: bool) -> str:
    """Samples per second in a cell of a board; "~" marks what was timed in part and scaled."""
    digits = 0 if events_per_s >= 10 else 2
    return f"{'~' * extrapolated}{events_per_s:,.{digits}f}"
