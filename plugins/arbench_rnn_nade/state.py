"""What RNN-NADE keeps while it draws one batch: recurrent units, and the step that it is in."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Weights(NamedTuple):
    """Weights as a step needs them, without gradients.

    Attributes:
        layers: of the recurrence, each as torch's cells take them.
        weight: per key, from its value to the hidden units of later keys, `(1, H)`.
        readout: per key, `(H, P)`.
    """

    layers: list[tuple[Tensor, ...]]
    weight: tuple[Tensor, ...]
    readout: tuple[Tensor, ...]


class RecurrentNADEState(NamedTuple):
    """What `RecurrentNADE.step` keeps for one batch; it updates all but the weights in place.

    Attributes:
        weights: see there.
        units: `(states, layers, B, R)`, of the recurrence, which has read all complete steps.
        step: `(B, N)`, the keys of the step as far as they are drawn; what follows is of the step
            before, and is not read.
        pre: `(B, H)`, the pre-activation of a key's hidden units; it goes from key to key.
        hidden: `(B, H)`, room for the hidden units of a key.
        params: `(B, N P)`, what the recurrence adds to the parameters of the step's keys.
    """

    weights: Weights
    units: Tensor
    step: Tensor
    pre: Tensor
    hidden: Tensor
    params: Tensor
