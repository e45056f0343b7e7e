"""What PPM keeps while one batch is drawn: the values before the next one."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class PPMState(NamedTuple):
    """What `PPM.step` updates in place.

    Attributes:
        history: `(B, M)` int64, the latest value first; K where there is none, before an event.
    """

    history: Tensor
