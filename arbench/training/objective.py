"""The training loss, which `--compile` compiles."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from arbench.probability.model import Model


class Objective(nn.Module):
    """A module, so that data parallelism and compilation wrap the whole loss.

    The members share their weights; step s trains member `s mod M`, as MADE cycles through its
    masks (Germain et al., ICML 2015).
    """

    def __init__(self, members: Sequence[Model]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self, events: Tensor, scored: Tensor | None, weights: Tensor, member: int
    ) -> Tensor:
        """Total nats `()` of the events, each times its weight."""
        log_probs: Tensor = self.members[member](events, scored)
        return -(log_probs * weights).sum()
