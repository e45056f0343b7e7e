"""Nats and bits: the only place where one becomes the other.

A file of its own, since what shows a record must not wait for torch.
"""

from __future__ import annotations

import math

NATS_PER_BIT = math.log(2)


def in_bits(nats: float) -> float:
    """Nats as bits."""
    return nats / NATS_PER_BIT


def in_nats(bits: float) -> float:
    """Bits as nats."""
    return bits * NATS_PER_BIT
