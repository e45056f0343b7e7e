"""Units: of texts nats are given per symbol, of everything else per event."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def nats_per(unit: str) -> str:
    """What nats are given per, in a word, for a task whose dims are called `unit`.

    A text's windows are no events that anybody knows, and names are compared by the character.
    """
    return unit if unit in ("char", "byte") else "event"


def nats_text(unit: str, nll: Mapping[str, Any], *, digits: int = 3) -> str:
    """Nats with their standard error, such as "1.4697 ± 0.0031", per what `nats_per` says.

    Args:
        unit: what a dim is called.
        nll: one split's part of a record.
        digits: after the point, per event; per symbol there are four.
    """
    if nats_per(unit) == "event":
        return f"{nll['nats_per_event']:.{digits}f} ± {nll['standard_error_nats']:.{digits}f}"
    error = nll["standard_error_bits_per_dim"] * math.log(2)
    return f"{nll['total_nats'] / nll['num_dims']:.4f} ± {error:.4f}"


def bits_text(nll: Mapping[str, Any]) -> str:
    """Bits per dim with their standard error, or a dash where a density has none."""
    if nll["bits_per_dim"] is None:
        return "-"
    return f"{nll['bits_per_dim']:.4f} ± {nll['standard_error_bits_per_dim']:.4f}"
