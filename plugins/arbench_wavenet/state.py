"""What a WaveNet keeps while it draws one batch: a queue per layer, so nothing is read twice."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from arbench.networks.site_vectors import SiteLookup


class WaveNetState(NamedTuple):
    """What `WaveNet.step` keeps for one batch; units come first, events last.

    Attributes:
        lookup: of the vector that stands for the value of the site before.
        vectors: `(B, C)`, room for what it finds.
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
    """One layer of a batch: its weights, its queue, and room for one site's gates.

    A queue could hold the layer's past inputs; it holds what they are going to contribute to the
    gates instead, computed when they arrive. Both are a ring of as many entries as the kernel
    reaches back, and this way an entry is what the gates of its site start from.

    Source: Paine et al., "Fast WaveNet generation algorithm", 2016, section 2.

    Args:
        taps: `(2C, C)` each, from the layer's input to the gates of the same site, then of the
            site one dilation later, and so on; the switches halved.
        bias: `(2C, B)`, the switches' halved.
        mix: `(C + S, C)`, from twice the gated units to `WaveNetState.running`.
        dilation: sites between taps.
    """

    def __init__(self, taps: list[Tensor], bias: Tensor, mix: Tensor, dilation: int) -> None:
        self.now, *self.later, self.farthest = taps
        self.bias = bias
        self.mix = mix
        self.dilation = dilation
        # What lies before the first site is zeros, and contributes nothing.
        reach = (len(taps) - 1) * dilation
        self.queue = bias.repeat(reach, 1, 1).unbind(0)
        self.gates = torch.empty_like(bias)
        self.filters, self.switches = self.gates.chunk(2)
        self.gated = torch.empty_like(self.filters)

    def advance(self, state: WaveNetState, site: int) -> None:
        """Take the stream past this layer at one site, and queue what later sites will need."""
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
