"""The end of a message about an unknown name: "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(wanted: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `": did you mean nade?"`, or nothing."""
    import difflib  # only an error needs it

    close = difflib.get_close_matches(wanted, names, n=3)
    return f": did you mean {' or '.join(close)}?" if close else ""
