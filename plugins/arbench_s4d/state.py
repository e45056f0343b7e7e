"""What S4D keeps while it draws one batch: its state spaces as recurrences."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench_s4d.state_space import DiagonalStateSpace


class Recurrence:
    """A `DiagonalStateSpace`, one site at a time, for one batch; updated in place.

    Args:
        space: the state spaces.
        batch_size: B.
    """

    @torch.no_grad()
    def __init__(self, space: DiagonalStateSpace, batch_size: int) -> None:
        log_factor, readout = space.discrete()
        self.factor = log_factor.exp().unsqueeze(-1)
        self.readout = 2 * readout.unsqueeze(1)
        self.skip = space.skip.detach()
        # With events last, (H, N / 2, B), a sum over states is a product of matrices per channel.
        self.states = self.factor.new_zeros(*readout.shape, batch_size)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs y `(B, H)` of inputs u `(B, H)` at the next site."""
        self.states.mul_(self.factor).add_(inputs.T.to(self.states.dtype).unsqueeze(1))
        outputs = torch.bmm(self.readout, self.states).squeeze(1).real.T
        return torch.addcmul(outputs, inputs, self.skip)
