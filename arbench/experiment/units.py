"""Units: of texts nats are given per symbol, of everything else per event."""

from __future__ import annotations


def nats_per(unit: str) -> str:
    """What nats are given per, in a word, for a task whose dims are called `unit`.

    A text's windows are no events that anybody knows, and names are compared by the character.
    """
    return unit if unit in ("char", "byte") else "event"


def nats_text(
    unit: str, mean: float, error: float, num_events: int, num_dims: int, *, digits: int = 3
) -> str:
    """Nats with their standard error, such as "1.4697 ± 0.0031", per what `nats_per` says.

    Args:
        unit: what a dim is called.
        mean: nats per event.
        error: the standard error of that mean.
        num_events: N.
        num_dims: scored dims, summed over the events.
        digits: after the point, per event; per symbol there are four.
    """
    if nats_per(unit) == "event":
        return f"{mean:.{digits}f} ± {error:.{digits}f}"
    share = num_events / num_dims
    return f"{mean * share:.4f} ± {error * share:.4f}"
