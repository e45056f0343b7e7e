"""Checks how a foreign density treats padding and context."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.probability.foreign import ForeignDensity
from arbench.testing.cells import event_masses
from arbench.testing.subject import ConformanceError, NotApplicableError
from arbench.testing.tiny import TinyEvents

_TOLERANCE = 1e-5
_END = 0


def check_scored(density: ForeignDensity) -> None:
    """Tiny sequences: words that end sum to 1, whatever their padding, and so do blocks.

    A block is what is scored after a context that is fed, as in the windows of a stream.

    Raises:
        ConformanceError: with the sum, or by how much padding moved a log-probability.
        NotApplicableError: if it scores whole events only, or they are no discrete sequences.
    """
    if not density.takes_scored:
        raise NotApplicableError(
            "its log_prob has no parameter `scored`, so tasks that leave dims unscored are refused"
        )
    if not density.is_probability or density.may_be_random or len(density.spec.shape) != 1:
        raise NotApplicableError("only probabilities of sequences can be gone through")
    words = TinyEvents(density.spec, end=_END)
    events = words.listed()
    scored = words.scored(events)
    assert scored is not None  # words end
    _require_sum(event_masses(density, words).sum(), "the probabilities of all words that end")
    before = _log_probs(density, events, scored)
    after = _log_probs(density, torch.where(scored, events, words.other(events, seed=0)), scored)
    if (moved := (after - before).abs().max().item()) > _TOLERANCE:
        raise ConformanceError(
            f"what is fed after the end of a word moves its log-probability by {moved:.2g} nats"
        )
    every = TinyEvents(density.spec).listed()
    dims = torch.arange(density.spec.num_dims)
    num_read = density.spec.num_dims // 2
    masses = _log_probs(density, every, (dims >= num_read).expand_as(every)).exp()
    for total in masses.view(len(words.values) ** num_read, -1).sum(1):
        _require_sum(total, "after some context the probabilities of all blocks")


@torch.no_grad()
def _log_probs(density: ForeignDensity, events: Tensor, scored: Tensor) -> Tensor:
    return density.log_prob(events, scored)


def _require_sum(total: Tensor, what: str) -> None:
    if not abs(total.item() - 1) <= _TOLERANCE:
        raise ConformanceError(f"{what} sum to {total.item():.8g}, not to 1")
