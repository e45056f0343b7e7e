"""What NADE keeps while it draws one batch: hidden units or values so far, weights by site."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class NADEState(NamedTuple):
    """What `NADE.step` keeps for one batch; it updates all but the weights in place.

    Attributes:
        weight: tied, per site, from its value to all later hidden units, `(F, H)`, or `(1, H)` for
            a number of a mixed table; untied, per site t, from all values before it to its own
            hidden units, `(t * F, H)`.
        readout: per site, `(H, P)`.
        readout_bias: per site, `(P,)`.
        pre: `(B, H)`, the pre-activation of a site's hidden units; tied, it goes from site to site.
        hidden: `(B, H)`, room for the hidden units of a site.
        told: `(B, 1)`, room for a value as a number.
        features: `(B, T * F)`, of all sites so far; None if nothing reads them.
        direct: `(T * P, T * F)`, the direct weights written out, or None.
    """

    weight: tuple[Tensor, ...]
    readout: tuple[Tensor, ...]
    readout_bias: tuple[Tensor, ...]
    pre: Tensor
    hidden: Tensor
    told: Tensor
    features: Tensor | None
    direct: Tensor | None
