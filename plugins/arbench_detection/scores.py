"""The scores of an event, by what a density says of it and of the events that it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from arbench import Diverged
from arbench_detection.evaluation import IMPOSSIBLE

# By the names of the values that are kept: what people call them, and whether a small one is one
# of an outlier.
SCORES: Mapping[str, tuple[str, bool]] = {
    "log_prob": ("log p", True),
    "typicality": ("typicality", False),
    "complexity": ("input complexity", False),
    "ratio": ("likelihood ratio", False),
    "p_value": ("p-value", True),
}


@dataclass(frozen=True)
class Reference:
    """What a likelihood is held against.

    Attributes:
        log_probs: of train events, `(N,)` nats, from the smallest to the largest.
        entropy: the mean of -log p over validation events, nats: what is typical of events that
            the model has not seen.
    """

    log_probs: Tensor
    entropy: float

    @classmethod
    def of(cls, train: Tensor, validation: Tensor) -> Reference:
        """Of log-probabilities in any order, nats.

        Raises:
            Diverged: if one is not finite.
        """
        if not bool(torch.cat([train, validation]).isfinite().all()):
            raise Diverged(
                "an event of train or validation has probability 0 under the model, so nothing is "
                "typical of it"
            )
        return cls(train.sort().values, -validation.mean().item())

    def p_values(self, log_probs: Tensor) -> Tensor:
        """The rank of each event among them, `(M,)` in (0, 1].

        One more than the number of train events that are at most as likely, over one more than
        there are.

        Source: Song et al., "PixelDefend", ICLR 2018, section 3.2.
        """
        below = torch.searchsorted(self.log_probs, log_probs.contiguous(), right=True)
        return (below + 1).double() / (len(self.log_probs) + 1)


def values_of(
    log_probs: Tensor, reference: Reference, code: Tensor | None, background: Tensor | None
) -> dict[str, Tensor]:
    """Every score that can be made, `(N,)` finite float64 each.

    An event of probability 0 counts as one of 10^300 nats: no other event ranks before it.

    Args:
        log_probs: nats, minus infinity for an event of probability 0.
        reference: of train and validation events.
        code: how long a general compressor's code of each event is, nats.
        background: log-probabilities under a background model, nats.
    """
    nats = -log_probs.clamp(min=-IMPOSSIBLE)
    found = {"log_prob": -nats, "typicality": (nats - reference.entropy).abs()}
    if code is not None:
        found["complexity"] = nats - code
    if background is not None:
        found["ratio"] = nats + background.clamp(min=-IMPOSSIBLE)
    found["p_value"] = reference.p_values(log_probs)
    return found


def outlier_score(name: str, values: Tensor) -> Tensor:
    """The values of a score, signed so that a larger one means an outlier."""
    return -values if SCORES[name][1] else values
