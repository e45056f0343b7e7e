"""Names with an argument (`images:PATH`), and "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable

from arbench.errors import ConfigError


def split_argument(text: str) -> tuple[str, str | None]:
    """The task name in lower case, and what follows its first colon, as in `images:PATH`.

    Raises:
        ConfigError: if there is a colon with nothing before or behind it.
    """
    name, colon, argument = text.partition(":")
    if colon and not (name.strip() and argument):
        raise ConfigError(f"{text!r} is not NAME or NAME:ARGUMENT, as in images:PATH")
    return name.strip().lower(), argument if colon else None


def did_you_mean(wanted: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `": did you mean nade?"`, or nothing."""
    import difflib  # only an error needs it

    close = difflib.get_close_matches(wanted, names, n=3)
    return f": did you mean {' or '.join(close)}?" if close else ""
