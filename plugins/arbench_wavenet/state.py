"""What WaveNet keeps while it draws one batch: a queue of contributions for each layer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from arbench.networks.site_vectors import SiteLookup


class WaveNetState(NamedTuple):
    """What `WaveNet.step` keeps for one batch; units come first, events last.

    Attributes:
        lookup: looks up the vector for the value of the site before.
        vectors: `(B, C)`, memory for its result.
        running: `(C + S, B)`, the residual stream and below it the sum of skip connections.
        stream: `(C, B)`, the upper part of `running`.
        skips: `(S, B)`, the lower part.
        layers: the layers from first to last.
    """

    lookup: SiteLookup
    vectors: Tensor
    running: Tensor
    stream: Tensor
    skips: Tensor
    layers: list[LayerState]


class LayerState:
    """One layer of a batch: its weights, its queue, and memory for one site's gates.

    A queue could hold the layer's past inputs. Instead it holds their contributions to later gates,
    computed when they arrive. Either way it is a ring with as many entries as the kernel reaches
    back. With contributions, an entry is the start value for the gates of its site.

    Source: Paine et al., "Fast WaveNet generation algorithm", 2016, section 2.

    Args:
        taps: `(2C, C)` each, from the layer's input to the gates of the same site, then of the
            site one dilation later, and so on; the rows of the switches are halved.
        bias: `(2C, B)`; the rows of the switches are halved.
        mix: `(C + S, C)`, from twice the gated units to `WaveNetState.running`.
        dilation: sites between taps.
    """

    def __init__(self, taps: list[Tensor], bias: Tensor, mix: Tensor, dilation: int) -> None:
        self.now, *self.later, self.farthest = taps
        self.bias = bias
        self.mix = mix
        self.dilation = dilation
        # Before the first site there are zeros, which contribute nothing.
        reach = (len(taps) - 1) * dilation
        self.queue = bias.repeat(reach, 1, 1).unbind(0)
        self.gates = torch.empty_like(bias)
        self.filters, self.switches = self.gates.chunk(2)
        self.gated = torch.empty_like(self.filters)

    def advance(self, state: WaveNetState, site: int) -> None:
        """Apply this layer to the stream at a site, and queue its contributions to later sites."""
        stream = state.stream
        entry = self.queue[site % len(self.queue)]
        torch.addmm(entry, self.now, stream, out=self.gates)
        # The ring is as long as the kernel's reach: this entry is now the farthest tap's.
        torch.addmm(self.bias, self.farthest, stream, out=entry)
        for number, tap in enumerate(self.later, start=1):
            self.queue[(site + number * self.dilation) % len(self.queue)].addmm_(tap, stream)
        self.gates.tanh_()
        torch.addcmul(self.filters, self.filters, self.switches, out=self.gated)
        state.running.addmm_(self.mix, self.gated)
