"""Units: of texts nats are given per symbol, of everything else per event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arbench.probability.bits import in_nats


def nats_per(unit: str) -> str:
    """What nats are given per, in a word, for a task whose dims are called `unit`.

    A text's windows are no events that anybody knows, and names are compared by the character.
    """
    return unit if unit in ("char", "byte") else "event"


def nats_text(unit: str, nll: Mapping[str, Any], *, digits: int = 3) -> str:
    """Nats with their standard error, such as "1.4697 ± 0.0031", per what `nats_per` says.

    One event has no standard error.

    Args:
        unit: what a dim is called.
        nll: one split's part of a record.
        digits: after the point, per event; per symbol there are four.
    """
    if nats_per(unit) == "event":
        return with_error(nll["nats_per_event"], nll["standard_error_nats"], digits)
    error = nll["standard_error_bits_per_dim"]
    error_nats = None if error is None else in_nats(error)
    return with_error(nll["total_nats"] / nll["num_dims"], error_nats, 4)


def bits_text(nll: Mapping[str, Any]) -> str:
    """Bits per dim with their standard error, or a dash where a density has none."""
    if nll["bits_per_dim"] is None:
        return "-"
    return with_error(nll["bits_per_dim"], nll["standard_error_bits_per_dim"], 4)


def with_error(value: float, error: float | None, digits: int) -> str:
    """A number and its standard error, where it has one, with so many digits after the point."""
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
