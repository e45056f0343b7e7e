"""Formats numbers with their standard errors, samples/s, durations and counts."""

from __future__ import annotations

import math


def counted(number: int, noun: str) -> str:
    """So many of something: "1 epoch", "2 epochs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration_text(seconds: float) -> str:
    """A duration to three digits, in the unit that suits it: "12.3 ms"."""
    if seconds >= 99.95:
        return f"{seconds:,.0f} s"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        # What rounds to 1,000 of a unit is 1 of the larger one.
        if seconds >= 0.9995 * size:
            return f"{seconds / size:#.3g}".rstrip(".") + f" {unit}"
    return f"{seconds * 1e9:.3g} ns" if seconds else "0 s"


def training_text(seconds: float) -> str:
    """How long a training took, to about two digits."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def capitalised(text: str) -> str:
    """The text with its first letter in upper case; the others stay as they are."""
    return text[:1].upper() + text[1:]


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
