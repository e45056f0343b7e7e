"""Log-probabilities of events that a model may find impossible, which have a place all the same."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arbench import Density, Diverged, Split

IMPOSSIBLE = 1e300  # nats of an event of probability 0, which no number that is kept may be
_MOST_EVENTS, _MOST_DIMS = 200, 1 << 18  # of a batch


class Progress:
    """Tells one bar of several evaluations.

    Args:
        advance: of a bar.
        num_events: in all of them.
    """

    def __init__(self, advance: Callable[[float, str], None], num_events: int) -> None:
        self._advance, self._num_events, self._done = advance, num_events, 0

    def add(self, count: int, note: str) -> None:
        """So many more events are done."""
        self._done += count
        self._advance(self._done / self._num_events, note)


@torch.no_grad()
def log_probs(density: Density, split: Split, progress: Progress, note: str = "") -> Tensor:
    """Log-probability of every event, `(N,)` nats, float64; minus infinity if it is impossible.

    Raises:
        Diverged: at the first that is no number, or plus infinity.
    """
    batch_size = max(1, min(_MOST_EVENTS, _MOST_DIMS // split.events[0].numel()))
    parts = []
    for start in range(0, len(split), batch_size):
        rows = slice(start, start + batch_size)
        scored = None if split.scored is None else split.scored[rows]
        found = density.log_prob(split.events[rows], scored).cpu().double()
        if bool((found.isnan() | (found == torch.inf)).any()):
            place = start + int((found.isnan() | (found == torch.inf)).nonzero()[0])
            raise Diverged(
                f"event {place} of {note or 'these'} has log-probability "
                f"{found[place - start].item()}, which has no rank among others"
            )
        parts.append(found)
        progress.add(len(found), note)
    return torch.cat(parts)
