"""Formats counts, durations and sentences."""

from __future__ import annotations


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
