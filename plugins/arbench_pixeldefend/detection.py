"""How well a score tells attacked images from clean ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rank_p_values(log_probs: Tensor, train: Tensor) -> Tensor:
    """The share of train events, and of the event itself, that are no likelier than an event.

    Source: Song et al., ICLR 2018, equation 1.

    Args:
        log_probs: `(N,)` nats.
        train: `(M,)` nats, of train events.

    Returns:
        `(N,)` float64, multiples of 1 / (M + 1).
    """
    below = torch.searchsorted(train.sort().values, log_probs, right=True)
    return (below + 1).double() / (len(train) + 1)


def auroc(attacked: Tensor, clean: Tensor) -> tuple[float, float]:
    """How often an attacked image scores above a clean one, ties counting half; and the error.

    The two images that one event makes are not independent, so the error is over events: from the
    mean rank of each event's two images (DeLong et al., Biometrics 1988).

    Args:
        attacked: `(N,)` scores, larger where an image looks attacked.
        clean: `(N,)` those of the same events before.

    Returns:
        The AUROC, and its standard error.
    """
    above = _share_below(attacked, clean)
    below = 1 - _share_below(clean, attacked)
    influence = above + below - 2 * above.mean()
    return float(above.mean()), float(influence.std() / math.sqrt(len(influence)))


def _share_below(scores: Tensor, others: Tensor) -> Tensor:
    """For each score the share of the others that lie below, equal ones counting half."""
    others = others.sort().values
    left, right = (torch.searchsorted(others, scores, right=side) for side in (False, True))
    return (left + right).double() / (2 * len(others))
