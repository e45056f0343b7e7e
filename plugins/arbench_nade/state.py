"""What NADE keeps while it draws one batch: hidden units or values so far, weights by site."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TiedUnits(NamedTuple):
    """The hidden units of a tied NADE, all but the weights updated in place.

    Attributes:
        pre: `(B, H)`, the running pre-activation.
        hidden: `(B, H)`, room for the units of a site.
        told: `(B, 1)`, room for a value as a number.
        weight: per site, `(F, H)`.
    """

    pre: Tensor
    hidden: Tensor
    told: Tensor
    weight: tuple[Tensor, ...]


class NADEState(NamedTuple):
    """What `NADE.step` keeps for one batch.

    Attributes:
        readout: per site, `(H, P)`.
        readout_bias: per site, `(P,)`.
        tied: hidden units that go from site to site; None if each site has its own.
        features: `(B, T * F)`, of all sites so far, updated in place; None if nothing reads them.
        direct: `(T * P, T * F)`, the direct weights written out, or None.
    """

    readout: tuple[Tensor, ...]
    readout_bias: tuple[Tensor, ...]
    tied: TiedUnits | None
    features: Tensor | None
    direct: Tensor | None
